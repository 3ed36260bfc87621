package main

import (
	"fmt"
	"os"
	"os/exec"
)

// commands are the figures and the processes they are measured with.
var commands = map[string]func([]string) error{
	"sink": sink, "bare": bare, "load": load,
	"cpu": figureCPU, "latency": figureLatency, "pipeline": figurePipeline,
	"idle": figureIdle, "json": figureJSON, "start": figureStart,
	"unavailability": figureUnavailability, "redis-away": figureRedisAway, "redis-lost": figureRedisLost,
	"outage": figureOutage, "elastic": figureElastic, "spread": figureSpread, "keyed": figureKeyed,
	"bill": figureBill, "steady": figureSteady, "history": figureHistory, "retained": figureRetained,
}

func main() {
	name := "all"
	var args []string
	if len(os.Args) > 1 {
		name, args = os.Args[1], os.Args[2:]
	}
	run, ok := commands[name]
	if name == "all" {
		run, ok = all, true
	}
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: no figure %q; see go doc ./test/bench\n", name)
		os.Exit(2)
	}
	if err := run(args); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", name, err)
		os.Exit(1)
	}
}

func all([]string) error {
	for _, name := range []string{"start", "latency", "pipeline", "json", "idle", "cpu"} {
		if err := commands[name](nil); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// self starts this program again as one of its processes.
func self(args ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0]
	}
	c := exec.Command(path, args...)
	c.Stderr = os.Stderr
	return c
}
