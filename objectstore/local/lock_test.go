package local_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/odradek/odradek/objectstore/local"
)

// lockHolder names the variable by which a test runs itself as another process that locks a bucket.
const lockHolder = "ODRADEK_LOCAL_TEST_LOCK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockHolder); dir != "" {
		holdLock(dir)
		return
	}
	if dir := os.Getenv(creator); dir != "" {
		createForever(dir)
		return
	}
	os.Exit(m.Run())
}

// holdLock locks the bucket, says so, and keeps the lock until its input ends.
func holdLock(dir string) {
	s, err := local.Open(dir)
	if err == nil {
		_, err = s.Lock()
	}
	fmt.Println("locked", err)
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestLock_OtherProcessIsNamedAndItsDeathFreesIt(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockHolder+"="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked <nil>\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}

	s := open(t, dir)
	_, err = s.Lock()
	if !errors.Is(err, local.ErrLocked) {
		t.Fatalf("lock beside another process: %v, want ErrLocked", err)
	}
	for _, part := range []string{filepath.Join(s.Dir(), ".odradek.lock"), strconv.Itoa(other.Process.Pid)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %s", err, part)
		}
	}

	other.Process.Kill()
	other.Wait()
	lock, err := s.Lock()
	if err != nil {
		t.Fatalf("lock after the holder was killed: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLock_SharedByManyOrHeldByOne(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	first, err := a.LockShared()
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.LockShared()
	if err != nil {
		t.Fatalf("second shared lock: %v", err)
	}
	first.Unlock()
	if _, err := a.Lock(); !errors.Is(err, local.ErrLocked) {
		t.Fatalf("lock beside a shared one: %v, want ErrLocked", err)
	}
	second.Unlock()
	alone, err := a.Lock()
	if err != nil {
		t.Fatalf("lock after the shared ones are gone: %v", err)
	}
	defer alone.Unlock()
	if _, err := b.LockShared(); !errors.Is(err, local.ErrLocked) {
		t.Fatalf("shared lock beside one alone: %v, want ErrLocked", err)
	}
	if _, err := a.Lock(); !errors.Is(err, local.ErrLocked) {
		t.Fatalf("second lock of one process: %v, want ErrLocked", err)
	}
}
