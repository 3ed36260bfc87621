package wal

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// childVariable makes the test binary be the process that is killed: it names the data directory.
const (
	childVariable    = "ODRADEK_TEST_WAL_CHILD"
	identityVariable = "ODRADEK_TEST_WAL_IDENTITY"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		n, err := strconv.Atoi(os.Getenv(identityVariable))
		if err == nil {
			err = appendForEver(path, Identity{byte(n)})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// appendForEver appends entries in bursts and says "synced n" when the first n are durable, and "released n" before
// the first n are given up.
func appendForEver(path string, id Identity) error {
	dir, err := OpenDirectory(path, OSDisk{})
	if err != nil {
		return err
	}
	w, err := dir.Open(Config{Identity: id, FileBytes: 64 << 10, MaxBytes: 512 << 10})
	if err != nil {
		return err
	}
	ctx := context.Background()
	go w.Run(ctx)
	var ends []Position
	for {
		for range 1 + rand.IntN(10) {
			room, err := w.Reserve(ctx, 9000)
			if err != nil {
				return err
			}
			end, err := room.Append(sample(len(ends), 8000))
			if err != nil {
				return err
			}
			ends = append(ends, end)
		}
		n := 1 + rand.IntN(len(ends))
		if err := w.Synced(ctx, ends[n-1]); err != nil {
			return err
		}
		fmt.Println("synced", n)
		if n := len(ends) - rand.IntN(20); n > 0 {
			fmt.Println("released", n)
			w.Release(ends[n-1])
		}
	}
}

func TestRecover_KilledProcessLosesNothingSynced(t *testing.T) {
	path := t.TempDir()
	for round := range 10 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+path, identityVariable+"="+strconv.Itoa(round+1))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		synced, released := 0, 0
		lines := bufio.NewScanner(out)
		for n := 20 + rand.IntN(200); lines.Scan(); n-- {
			var what string
			var count int
			if _, err := fmt.Sscan(lines.Text(), &what, &count); err != nil {
				break // the line that the kill has cut
			}
			if what == "synced" {
				synced = max(synced, count)
			} else {
				released = max(released, count)
			}
			if n == 0 {
				cmd.Process.Kill()
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("child ended by itself: %v", err)
		}
		checkKilled(t, path, Identity{byte(round + 1)}, synced, released)
	}
}

// checkKilled reads what the child left and removes it.
func checkKilled(t *testing.T, path string, id Identity, synced, released int) {
	t.Helper()
	dir, err := OpenDirectory(path, OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	rings, err := dir.Recover()
	if err != nil || len(rings) != 1 || rings[0].Identity != id || rings[0].Err != nil || rings[0].Torn {
		t.Fatalf("recover: %+v, %v", rings, err)
	}
	got := payloads(t, rings[0])
	if err := dir.Remove(id); err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		if synced > released {
			t.Fatalf("nothing recovered, want [%d, %d)", released, synced)
		}
		return
	}
	var first int
	if _, err := fmt.Sscanf(string(got[0][bytes.LastIndexByte(got[0], '#'):]), "#%d", &first); err != nil {
		t.Fatal(err)
	}
	for i, b := range got {
		if !bytes.Equal(b, sample(first+i, 8000)) {
			t.Fatalf("entry %d is not entry %d appended", i, first+i)
		}
	}
	if synced > released && (first > released || first+len(got) < synced) {
		t.Fatalf("recovered [%d, %d), want all of [%d, %d)", first, first+len(got), released, synced)
	}
}
