// Command sim simulates pools of agents, one seed after the other, and looks for seeds in which something is lost,
// doubled, out of order or not to be had again. docs/simulation.md tells what happens in a seed and what is checked.
//
//	go run ./test/sim -seeds 1000          # seeds 1 to 1000
//	go run ./test/sim -seed 77 -seeds 1    # one seed again
//	go run ./test/sim -minutes 2 -seed $N  # as many as fit
//	go run ./test/sim -seeds 50 -twice 50  # all twice, among others and alone: do the two runs agree?
//	go run ./test/sim mutants              # break the protocol on purpose and see how soon that is found
//
// The seeds are told by TestSim of package agent, which this command builds once and runs in processes that tell some
// seeds each, one process per processor. So that a seed is the same story each time, alone or after others, they are built
// on a Go runtime in which nothing is left to chance but what is drawn from a sequence of the bubble that a seed runs in
// (runtime.go); sources of the machine's Go are patched in a copy, by -overlay. Exit status 1 if anything was found.
package main
