package harness

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Program is a testing.TB for programs that start agents and servers as tests do. What cannot be started ends the
// program with status 1. Close takes the place of the test's end. Safe for concurrent use.
type Program struct {
	testing.TB // nil: it is here for the method that no other package may have

	name string
	ctx  context.Context

	mu       sync.Mutex // guards all below
	cleanups []func()
	failed   bool
}

// NewProgram names the program that its messages come from.
func NewProgram(ctx context.Context, name string) *Program { return &Program{name: name, ctx: ctx} }

// Close does what was registered with Cleanup, last first, and removes the binary that was built. It may be called twice.
func (p *Program) Close() {
	for {
		p.mu.Lock()
		n := len(p.cleanups)
		if n == 0 {
			p.mu.Unlock()
			break
		}
		last := p.cleanups[n-1]
		p.cleanups = p.cleanups[:n-1]
		p.mu.Unlock()
		last()
	}
	if build.dir != "" {
		os.RemoveAll(build.dir)
		build.dir, build.once = "", sync.Once{} // who goes on with another Program builds anew
	}
}

// Cleanup registers what Close does.
func (p *Program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

// Failed reports whether Error or Errorf was called.
func (p *Program) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Errorf prints a message and makes Failed true.
func (p *Program) Errorf(format string, args ...any) {
	p.mu.Lock()
	p.failed = true
	p.mu.Unlock()
	p.Logf(format, args...)
}

// Fatalf prints a message, closes the program and ends it with status 1.
func (p *Program) Fatalf(format string, args ...any) {
	p.Logf(format, args...)
	p.Close()
	os.Exit(1)
}

// Logf prints a message to standard error.
func (p *Program) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, p.name+": "+format+"\n", args...)
}

// Error is Errorf.
func (p *Program) Error(args ...any) { p.Errorf("%s", fmt.Sprint(args...)) }

// Fatal is Fatalf.
func (p *Program) Fatal(args ...any) { p.Fatalf("%s", fmt.Sprint(args...)) }

// Log is Logf.
func (p *Program) Log(args ...any) { p.Logf("%s", fmt.Sprint(args...)) }

// Helper does nothing.
func (p *Program) Helper() {}

// Name is the program's.
func (p *Program) Name() string { return p.name }

// Context is the one that the program was made with.
func (p *Program) Context() context.Context { return p.ctx }
