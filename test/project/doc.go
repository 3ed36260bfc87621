// Package project holds the project to its own rules, so that they need no reader who remembers them:
//
//	floors_test.go   imports go down only; Kafka's, Redis', AWS' and MinIO's types stay where they belong
//	modules_test.go  every direct dependency has its line in docs/dependencies.md; licences; no replace
//	pages_test.go    links lead somewhere, generated pages are fresh, every package has its doc.go
//	words_test.go    the project speaks of itself alone; no test is skipped
//	readme_test.go   the commands of the README do what it says, against a real agent
//	source.go        reads the repository's files and imports
//
// It needs git, go, make and kcat. It is on no floor: it sees all and is seen by none.
package project
