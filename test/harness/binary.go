package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/odradek/odradek/test/servers"
)

// build is the binary of this test process.
var build struct {
	once sync.Once
	dir  string // to remove; empty if none was made
	path string
	err  error
}

// Main runs a package's tests and then removes the binary and the servers that they shared. It returns the exit code.
func Main(m *testing.M) int {
	defer func() {
		if build.dir != "" {
			os.RemoveAll(build.dir)
		}
	}()
	return servers.Main(m)
}

// Long reports whether tests were asked to take their time.
func Long() bool { return os.Getenv("ODRADEK_TEST_LONG") == "1" }

func raceBuild() bool { return os.Getenv("ODRADEK_TEST_RACE") == "1" }

// Binary is the path of the odradek binary, which the first call builds.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() { build.path, build.err = compile() })
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

func compile() (string, error) {
	if path := os.Getenv("ODRADEK_TEST_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	if build.dir, err = os.MkdirTemp("", "odradek-binary-"); err != nil {
		return "", err
	}
	path := filepath.Join(build.dir, "odradek")
	args := []string{"build", "-o", path}
	if raceBuild() {
		args = append(args, "-race")
	}
	if toBreak {
		overlay, err := clockOverlay(build.dir)
		if err != nil {
			return "", fmt.Errorf("overlay of the clock: %w", err)
		}
		args = append(args, "-tags", "chaos", "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "./cmd/odradek")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/odradek: %w\n%s", err, out)
	}
	return path, nil
}

// Root is the repository: the directory of go.mod at or above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod at or above the working directory")
		}
		dir = parent
	}
}

// Command is the binary with arguments and more environment. Settings of the caller's environment are left out, so
// that a person's ODRADEK_BOOTSTRAP does not reach a test.
func Command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ODRADEK_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// Run runs a command of the binary to its end and gives what it printed, both streams together, and its exit status.
func Run(t testing.TB, env []string, args ...string) (output string, status int) {
	t.Helper()
	cmd := Command(t, env, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("odradek %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
