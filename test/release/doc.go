// Package release tests what .ci/release builds: the same bytes in another directory, a bill of materials that names what
// the binary is made of, sums that are right. The program that writes the bill is in a module of its own, sbom.
//
// It builds for the platform that it runs on, alone: .ci/release without further arguments builds for all.
package release
