package local_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/local"
)

// creator names the variable by which a test runs itself as another process that creates objects without end.
const creator = "ODRADEK_LOCAL_TEST_CREATE"

// createForever creates objects and prints the key of each one that Create answered nil for.
func createForever(dir string) {
	s, err := local.Open(dir)
	for n := 0; err == nil; n++ {
		key := crashKey(n)
		if err = s.Create(context.Background(), key, crashBody(key)); err == nil {
			fmt.Println(key)
		}
	}
	fmt.Println("error", err)
}

func crashKey(n int) string { return fmt.Sprintf("journal/%02x/j%d/%016x", n%3, n%7, n) }

// crashBody is long enough for a kill to meet the writing of it.
func crashBody(key string) objectstore.Body {
	return objectstore.NewBody([]byte(key), bytes.Repeat([]byte(key), 20_000))
}

func TestCreate_KilledProcessLeavesWholeObjectsOnly(t *testing.T) {
	dir := t.TempDir()
	acked := 0
	for round := range 4 {
		acked += killAfter(t, fmt.Sprintf("%s/%d", dir, round), 5+9*round)
	}
	if acked == 0 {
		t.Fatal("nothing was created before the kills")
	}
}

// killAfter kills a creating process after it has answered for n objects, and checks what it left.
func killAfter(t *testing.T, dir string, n int) (acked int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), creator+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "error") {
			t.Error(lines.Text())
		}
		keys = append(keys, lines.Text())
		if len(keys) == n {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()

	s := open(t, dir)
	for _, key := range keys {
		if _, err := s.Head(t.Context(), key); err != nil {
			t.Errorf("%s was answered for: %v", key, err)
		}
	}
	err = s.List(t.Context(), "", func(info objectstore.Info) error {
		got, err := s.Get(t.Context(), info.Key)
		if want := crashBody(info.Key); err != nil || objectstore.NewBody(got).CRC32C != want.CRC32C {
			t.Errorf("%s holds %d bytes, %v; want all %d", info.Key, len(got), err, want.Size)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir + "/.odradek.tmp"); err != nil || len(left) != 0 {
		t.Errorf("temporary files of the dead process after Open: %v, %v", left, err)
	}
	return len(keys)
}
