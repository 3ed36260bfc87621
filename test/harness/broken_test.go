package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// shifts prints by how many seconds the wall clock and the monotonic one went on while the first was shifted by an hour.
const shifts = `package main

import (
	"fmt"
	"sync/atomic"
	"time"
	_ "unsafe"
)

//go:linkname wallShift time.wallShift
var wallShift atomic.Int64

func main() {
	before := time.Now()
	wallShift.Store(-3600)
	after := time.Now()
	fmt.Println(after.Unix()-before.Unix() < -3590, after.Sub(before) >= 0, time.Since(before).Seconds() < 10)
}
`

func TestClockOverlay_ShiftsTheWallClockAlone(t *testing.T) {
	dir := t.TempDir()
	overlay, err := clockOverlay(dir)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "main.go")
	if err := os.WriteFile(program, []byte(shifts), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", "-overlay", overlay, program).CombinedOutput()
	if err != nil || string(out) != "true true true\n" {
		t.Fatalf("%v: %s", err, out)
	}
}
