package project

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// step is one command of the README and what the page says that it prints.
type step struct{ command, output string }

// blocks reads the page's console blocks: lines that begin with "$ " are typed, the others are printed.
func blocks(page string) [][]step {
	var out [][]step
	for _, m := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		var b []step
		for line := range strings.Lines(m[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				b = append(b, step{command: strings.TrimSpace(command)})
			} else if len(b) > 0 {
				b[len(b)-1].output += line
			}
		}
		out = append(out, b)
	}
	return out
}

// varying is what may differ from one run to the next; both sides are compared without it.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`(?m)^odradek \S+, node`), "odradek VERSION, node"},
	{regexp.MustCompile(`\([A-Za-z0-9_-]{22}\)`), "(CLUSTER)"},
	{regexp.MustCompile(`directory \S*odradek-data/bucket`), "directory …/odradek-data/bucket"},
	{regexp.MustCompile(`bucket odradek\S*,`), "bucket BUCKET,"},
	{regexp.MustCompile(` --bootstrap \S+`), ""},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// shell runs the commands of a reader who sits in the repository, with an agent on addresses of its own instead of the
// ones that the page names.
type shell struct {
	t       *testing.T
	dir     string
	env     []string
	from    []string // what the page says, then what it is here, and so on
	running *exec.Cmd
	http    string
}

func newShell(t *testing.T) *shell {
	kafka, web, data := harness.FreeAddr(t), harness.FreeAddr(t), filepath.Join(harness.TempDir(t), "odradek-data")
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, dir: dir, http: web, from: []string{
		"127.0.0.1:9092", kafka, "127.0.0.1:8080", web, "odradek-data", data,
	}}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ODRADEK_") && !strings.HasPrefix(e, "MAKE") && !strings.HasPrefix(e, "AWS_") {
			s.env = append(s.env, e)
		}
	}
	s.env = append(s.env, "ODRADEK_LISTEN="+kafka, "ODRADEK_HTTP="+web, "ODRADEK_DATA_DIR="+data, "ODRADEK_BOOTSTRAP="+kafka)
	t.Cleanup(s.stop)
	return s
}

// here writes a command of the page for this machine.
func (s *shell) here(text string) string {
	for pair := range slices.Chunk(s.from, 2) {
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// page writes output of this machine as the page would, without what varies.
func (s *shell) page(text string) string {
	for pair := range slices.Chunk(s.from, 2) {
		text = strings.ReplaceAll(text, pair[1], pair[0])
	}
	return plain(text)
}

func plain(text string) string {
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return strings.TrimSpace(text)
}

func (s *shell) command(line string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", s.here(line))
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// run types a command and compares what it prints.
func (s *shell) run(st step) {
	s.t.Helper()
	out, err := s.command(st.command).CombinedOutput()
	if err != nil {
		s.t.Fatalf("$ %s\n%s%v", st.command, out, err)
	}
	if diff := cmp.Diff(plain(st.output), s.page(string(out))); diff != "" {
		s.t.Errorf("$ %s prints something else (-README +here):\n%s", st.command, diff)
	}
}

// serve types a command that goes on, waits until the agent is ready and compares what was printed until then.
func (s *shell) serve(st step) {
	s.t.Helper()
	path := filepath.Join(harness.TempDir(s.t), "out")
	out, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := s.command(st.command)
	cmd.Stdout, cmd.SysProcAttr = out, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.running = cmd
	want := plain(st.output)
	deadline := time.Now().Add(2 * time.Minute) // make run may have to build
	for {
		printed, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		got := s.page(string(printed))
		if strings.Count(got, "\n") >= strings.Count(want, "\n") && s.ready() {
			if diff := cmp.Diff(want, got); diff != "" {
				s.t.Errorf("$ %s prints something else (-README +here):\n%s", st.command, diff)
			}
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("$ %s is not ready; it printed:\n%s", st.command, printed)
		}
		select {
		case <-s.t.Context().Done():
			s.t.Fatal(s.t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *shell) ready() bool {
	answer, err := http.Get("http://" + s.http + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// stop presses Ctrl-C.
func (s *shell) stop() {
	if s.running == nil {
		return
	}
	syscall.Kill(-s.running.Process.Pid, syscall.SIGINT)
	s.running.Wait()
	s.running = nil
}

func TestReadme_CommandsDoWhatItSays(t *testing.T) {
	all := blocks(read(t, "README.md"))
	if len(all) != 4 || all[0][0].command != "make run" {
		t.Fatalf("the README has %d console blocks; this test knows make run, odradek, kcat, and S3 with Redis", len(all))
	}
	s := newShell(t)
	s.serve(all[0][0])
	for _, block := range all[1:3] {
		for _, st := range block {
			s.run(st)
		}
	}
	s.stop()

	// The same records are there after a restart, and verify finds nothing wrong with them.
	s.serve(all[0][0])
	s.run(step{"bin/odradek consume greetings -n 3", "hello\nworld\nhello from kcat\n"})
	s.run(step{"bin/odradek verify | tail -n 1", "clean"})
}

// The page starts MinIO and Redis in containers; here they are processes, on their own addresses, with their own keys.
func TestReadme_WithS3AndRedis(t *testing.T) {
	block := blocks(read(t, "README.md"))[3]
	if len(block) != 3 || !strings.HasPrefix(block[0].command, "docker compose up") || !strings.HasPrefix(block[1].command, "export AWS_") {
		t.Fatalf("the block with S3 is another one now: %v", block)
	}
	minio, redis := servers.MinIO(t), servers.Redis(t)
	s := newShell(t)
	s.env = append(s.env, minio.Env()...)
	s.from = append(s.from, "127.0.0.1:6379", redis.Addr, "127.0.0.1:9000/odradek", strings.TrimPrefix(minio.Endpoint, "http://")+"/"+minio.Bucket,
		"127.0.0.1:9000", strings.TrimPrefix(minio.Endpoint, "http://"))
	if out, err := s.command("make --no-print-directory build").CombinedOutput(); err != nil {
		t.Fatalf("make build: %s%v", out, err)
	}
	s.serve(block[2])
	s.run(step{"echo stored | bin/odradek produce things --partition 0", "produced 1 record to things: partition 0 [0, 1)"})
	s.run(step{"bin/odradek consume things -n 1", "stored"})
}

func TestReadme_ComposeMatchesThePage(t *testing.T) {
	compose, page := read(t, "compose.yaml"), read(t, "README.md")
	for _, m := range regexp.MustCompile(`AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)=(\S+)`).FindAllStringSubmatch(page, -1) {
		if !regexp.MustCompile(`(?m)_(USER|PASSWORD): ` + regexp.QuoteMeta(m[1]) + `$`).MatchString(compose) {
			t.Errorf("compose.yaml has no MinIO key %q, which the README exports", m[1])
		}
	}
	for _, address := range []string{"127.0.0.1:9000", "127.0.0.1:6379"} {
		if !strings.Contains(compose, fmt.Sprintf("%q", address+":"+address[strings.LastIndex(address, ":")+1:])) {
			t.Errorf("compose.yaml does not publish %s", address)
		}
	}
}
