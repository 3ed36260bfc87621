// Model explores small models of Odradek's protocol, state by state, and prints what it found:
//
//	go run ./test/model                 about a minute; make model does the same
//	go run ./test/model -long           more of the same: the models' farthest bounds
//	go run ./test/model -tiny           what go test does
//	go run ./test/model -trace S3       traces of the runs with a rule off whose name holds S3
//	go run ./test/model -rules          the table of rules in docs/model.md
//
// The whole protocol must break no invariant in any state, and each run with one rule switched off must: the exit status
// is 1 if not. Each model is a package of its own that reads from top to bottom like the rules; package explore visits
// the states. docs/model.md tells what is modelled, what is not, and how to add a rule.
package main
