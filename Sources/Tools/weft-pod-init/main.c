// The pod init as a program of its own, linked statically: a pod costs a tenth of the memory that `weft` executed again as
// its init would. Its work is done by a constructor in CWeft (`pod_init.c`), which takes over before `main` when this program
// is started as `weft-pod-init`.
#include <unistd.h>

int main(void) {
    static const char note[] = "weft-pod-init is started by weft, for each pod\n";
    return write(2, note, sizeof note - 1) < 0 ? 1 : 2;
}
