package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/test/model/eras"
	"github.com/odradek/odradek/test/model/explore"
	"github.com/odradek/odradek/test/model/fork"
	"github.com/odradek/odradek/test/model/mirror"
	"github.com/odradek/odradek/test/model/moves"
	"github.com/odradek/odradek/test/model/replay"
	"github.com/odradek/odradek/test/model/runs"
	"github.com/odradek/odradek/test/model/slots"
	"github.com/odradek/odradek/test/model/starts"
	"github.com/odradek/odradek/test/model/trim"
)

// models lists the runs of all models; those of one model stand together, the whole protocol before the rules.
func models(size explore.Size) []explore.Case {
	var cases []explore.Case
	for _, list := range []func(explore.Size) []explore.Case{
		slots.Cases, moves.Cases, eras.Cases, mirror.Cases, replay.Cases, trim.Cases, runs.Cases, fork.Cases, starts.Cases,
	} {
		cases = append(cases, list(size)...)
	}
	return cases
}

func main() {
	long := flag.Bool("long", os.Getenv("ODRADEK_TEST_LONG") == "1", "explore the farthest bounds")
	tiny := flag.Bool("tiny", false, "explore the nearest bounds")
	trace := flag.String("trace", "", "tell the traces of rules whose name holds this, and explore nothing else")
	rules := flag.Bool("rules", false, "print the table of rules for docs/model.md")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "model: unknown argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	size := explore.Short
	switch {
	case *long:
		size = explore.Long
	case *tiny:
		size = explore.Tiny
	}
	switch {
	case *trace != "":
		for _, f := range run(only(models(size), *trace)) {
			fmt.Println(f.story())
		}
	case *rules:
		fmt.Print(ruleTable(run(only(models(size), ""))))
	default:
		began := time.Now()
		found := run(models(size))
		fmt.Print(report(found))
		fmt.Printf("%d states in %.0f s\n", states(found), time.Since(began).Seconds())
		if bad := failures(found); len(bad) > 0 {
			fmt.Println("\n" + strings.Join(bad, "\n"))
			os.Exit(1)
		}
	}
}

// only gives the runs with a rule off whose name holds part.
func only(cases []explore.Case, part string) (list []explore.Case) {
	for _, c := range cases {
		if c.Off != "" && strings.Contains(c.Off, part) {
			list = append(list, c)
		}
	}
	return list
}

// finding is what one run gave.
type finding struct {
	explore.Case
	explore.Result
}

// run makes the runs, as many at once as there are processors, and gives what they found in their order.
func run(cases []explore.Case) []finding {
	found := make([]finding, len(cases))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				found[i] = finding{cases[i], cases[i].Run()}
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	workers.Wait()
	return found
}
