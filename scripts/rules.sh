# The house rules that a machine can check. Sourced by ./test.

house_rules() {
    local code=0 found
    swift format lint --strict -r Sources Tests Package.swift || code=1
    found=$(git ls-files 'Sources/*.swift' 'Sources/*.c' 'Sources/*.h' | while read -r file; do
        lines=$(wc -l <"$file" 2>/dev/null || echo 0)
        [ "$lines" -le 800 ] || echo "  $file: $lines lines"
    done)
    [ -z "$found" ] || { printf 'files over 800 lines:\n%s\n' "$found"; code=1; }
    found=$(grep -rnE '^(@preconcurrency )?(public |package |internal )?import Foundation' \
        Sources/Common Sources/DataPlane Sources/Tools/weft-proxy)
    [ -z "$found" ] || { printf 'Foundation in the data plane:\n%s\n' "$found"; code=1; }
    found=$(grep -rnE '\b(fatalError|try!|as!)' --include='*.swift' Sources | grep -vE '^[^:]*:[0-9]+: *//')
    [ -z "$found" ] || { printf 'code that can trap on purpose:\n%s\n' "$found"; code=1; }
    found=$(grep -rnE '\b(TO''DO|FIX''ME|XX''X)\b' Sources Tests bench scripts examples --include='*.swift' --include='*.c' --include='*.py' --include='*.sh')
    [ -z "$found" ] || { printf 'unfinished work:\n%s\n' "$found"; code=1; }
    return $code
}
