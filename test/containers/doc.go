// Package containers tests what people run in containers, without an engine for them:
//
//	image_linux_test.go     the image, made by buildah for amd64 and arm64; agents run in it, as its user, on a read-only root
//	readonly_linux_test.go  how they do: a root directory in a mount namespace of its own
//	compose_test.go         compose.yaml, its services started as processes from its values
//	chart_test.go           examples/helm/odradek, rendered and decoded into the types of Kubernetes
//
// reader/ is a program, and a module, that reads both files with the libraries of those who made them. Needs buildah, and root
// or what buildah needs instead. On no floor.
package containers
