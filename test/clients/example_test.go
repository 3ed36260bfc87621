package clients

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// example is a program of examples/ that runs.
type example struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	lines  chan line // closed when the program has ended
	stderr *tail
}

// line is what a program says of one record: "read partition=0 offset=3 value=all to the end".
type line struct {
	verb   string
	fields map[string]string
}

// run starts a command of a README, with the agent's address as BOOTSTRAP. A README that does not have it, word for
// word, fails the test.
func run(t testing.TB, addr, folder, command string) *example {
	t.Helper()
	readme, err := os.ReadFile(path(t, "examples", folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(string(readme), "\n"), command) {
		t.Fatalf("examples/%s/README.md does not say %s", folder, command)
	}
	return start(t, addr, folder, command)
}

// start starts a command in a folder of examples. The libraries come from .cache/clients.
func start(t testing.TB, addr, folder, command string) *example {
	t.Helper()
	command = strings.ReplaceAll(command, ".venv/bin/python", cached(t, "venv", "bin", "python"))
	if module, ok := strings.CutPrefix(command, "(cd "); ok {
		name, arguments, _ := strings.Cut(strings.TrimSuffix(module, ")"), " && go run .")
		command = cached(t, "bin", name) + arguments
	}
	e := &example{t: t, name: command, cmd: exec.Command("bash", "-c", "exec "+command), lines: make(chan line, 1000), stderr: &tail{}}
	e.cmd.Dir = path(t, "examples", folder)
	e.cmd.Env = append(os.Environ(), "BOOTSTRAP="+addr, "KAFKAJS_NO_PARTITIONER_WARNING=1")
	e.cmd.Stderr = e.stderr
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	go func() {
		defer close(e.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			e.lines <- parseLine(scanner.Text())
		}
	}()
	t.Cleanup(e.end)
	return e
}

// parseLine takes "verb name=word name=word last=all the rest" apart. The last field is value, line or receipt.
func parseLine(text string) line {
	verb, rest, _ := strings.Cut(text, " ")
	l := line{verb, map[string]string{}}
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		switch {
		case name == "value" || name == "line" || name == "receipt":
			l.fields[name], rest = after, ""
		case name == "levels":
			word, remainder, _ := strings.Cut(after, "} ")
			l.fields[name], rest = word+"}", remainder
		default:
			l.fields[name], rest, _ = strings.Cut(after, " ")
		}
	}
	return l
}

func (e *example) end() {
	syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
	for range e.lines {
	}
	e.cmd.Wait()
	if said := e.stderr.String(); e.t.Failed() && said != "" {
		e.t.Logf("%s printed:\n%s", e.name, said)
	}
}

// take waits for as many lines of a verb.
func (e *example) take(count int, verb string) []line {
	e.t.Helper()
	var taken []line
	deadline := time.After(patience)
	for len(taken) < count {
		select {
		case l, ok := <-e.lines:
			if !ok {
				e.t.Fatalf("%s ended after %d of %d lines %q\n%s", e.name, len(taken), count, verb, e.stderr)
			}
			if l.verb == verb {
				taken = append(taken, l)
			}
		case <-deadline:
			e.t.Fatalf("%s: %d of %d lines %q after %v\n%s", e.name, len(taken), count, verb, patience, e.stderr)
		}
	}
	return taken
}

// rest waits for the end of a program that ends by itself and gives its lines of a verb, all
// of them for "".
func (e *example) rest(verb string) []line {
	e.t.Helper()
	var rest []line
	deadline := time.After(patience)
	for {
		select {
		case l, ok := <-e.lines:
			if !ok {
				return rest
			}
			if verb == "" || l.verb == verb {
				rest = append(rest, l)
			}
		case <-deadline:
			e.t.Fatalf("%s does not end\n%s", e.name, e.stderr)
		}
	}
}

// interrupt ends the program as Ctrl-C does, wants that it goes in good order, and gives what it still said.
func (e *example) interrupt(verb string) []line {
	e.t.Helper()
	syscall.Kill(-e.cmd.Process.Pid, syscall.SIGINT)
	rest := e.rest(verb)
	err := e.cmd.Wait()
	if status := e.cmd.ProcessState.ExitCode(); status != 0 && status != 130 {
		e.t.Fatalf("%s after Ctrl-C: %v\n%s", e.name, err, e.stderr)
	}
	return rest
}

// same wants that lines which were sent and lines which were read tell of the same records.
func same(t testing.TB, sent, read []line, fields ...string) {
	t.Helper()
	if diff := gocmp.Diff(table(sent, fields), table(read, fields)); diff != "" {
		t.Fatalf("read (+) is not what was sent (-):\n%s", diff)
	}
}

// table is the chosen fields of lines, sorted.
func table(lines []line, fields []string) []string {
	var rows []string
	for _, l := range lines {
		var row []string
		for _, name := range append([]string{"partition", "offset"}, fields...) {
			row = append(row, name+"="+l.fields[name])
		}
		rows = append(rows, strings.Join(row, " "))
	}
	slices.Sort(rows)
	return rows
}
