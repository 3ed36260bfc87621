// Renew makes the fixture of the first release anew: it runs two agents of this build on a Redis and a directory, has them
// do what writes every kind of object, kills them, and packs what they left. See test/upgrade/testdata/README.md before.
//
//	go run ./test/upgrade/renew test/upgrade/testdata/first.tar.gz
package main
