extension HeaderEdit {
    /// One list that does at once what the given changes do one after another.
    ///
    /// Whoever applies it takes out all fields that one of the changes replaces or removes, then adds what is to be added; so a
    /// change must not stand behind one that would undo it. The list is short, and this happens when a configuration is loaded.
    package static func settled(_ edits: [HeaderEdit]) -> [HeaderEdit] {
        var list: [HeaderEdit] = []
        for edit in edits {
            let same = list.filter { $0.name.equals(edit.name) }
            let isGone = same.contains { $0.kind == .remove }
            let isThere = same.contains { $0.kind == .append || $0.kind == .overwrite || $0.kind == .addIfAbsent }
            switch edit.kind {
            case .remove, .overwrite:
                list.removeAll { $0.name.equals(edit.name) }
                list.append(edit)
            case .append: list.append(edit)
            case .addIfAbsent:
                guard !isThere else { continue }
                list.append(isGone ? edit.with(.append) : edit)
            case .overwriteIfPresent:
                guard isThere || !isGone else { continue }
                list.removeAll { $0.name.equals(edit.name) }
                list.append(isThere ? edit.with(.overwrite) : edit)
            }
        }
        return list
    }

    private func with(_ kind: Kind) -> HeaderEdit {
        var copy = self
        copy.kind = kind
        return copy
    }
}
