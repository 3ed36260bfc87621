// Package upgrade holds every build to docs/upgrade.md: it serves what the first release left behind, writes nothing into
// such a cluster that the first release could not read, and refuses with one line what a newer format says.
//
//	testdata/first.tar.gz   bucket, write-ahead logs and Redis of the first release; see README.md there
//	fixture                 packs and unpacks it, and lists versions of formats
//	renew                   makes it, until there is a first release
package upgrade
