/// The root of a container whose image is made of layers, and who runs it there.
#ifndef WEFT_POD_IMAGE_H
#define WEFT_POD_IMAGE_H
#include "pod_settings.h"

/// Binds the store of layers and the place of containers' writes below the pod's own store. 0 or -1 (`fail`).
int pod_gather_layers(struct row settings, const char *root);

/// Whether a start request is for an image of layers.
int pod_is_image(struct row request);
/// Child side: builds the container's root in a mount namespace of its own: layers, devices, the kernel's files, the pod's
/// names, volumes. 0 or -1 (`fail`).
int pod_image_root(struct row request);
/// Child side: makes that root the process's own. 0 or -1 (`fail`).
int pod_enter_image(struct row request);
/// Child side: has an OCI runtime start the container in that root, and says on `errors` which process it is, behind
/// `image_process`, or why there is none. Never returns.
void pod_run_by_runtime(struct row request, int errors) __attribute__((noreturn));

/// What a word about the process of a container begins with on the pipe of its start.
enum { image_process = 1 };

/// Copies the tree of one layer over what is there, whiteouts and opaque directories obeyed. 0 or -1 with errno.
int copy_layer(int from, int to);

#endif
