package clients

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every single wait of these tests. The machine may be busy.
const patience = 2 * time.Minute

// Job is one line to a probe.
type Job struct {
	Op        string         `json:"op"`
	Bootstrap string         `json:"bootstrap"`
	Topic     string         `json:"topic"`
	Config    map[string]any `json:"config,omitempty"` // in the library's own words
	Records   []Record       `json:"records,omitempty"`
	Expect    int            `json:"expect"`          // consume: how many records to read
	Since     int64          `json:"since"`           // consume: from this time on, 0 for the beginning
	Group     string         `json:"group,omitempty"` // group
	Args      map[string]any `json:"args,omitempty"`  // admin
}

// Probe is a running program around a client library. It does one job at a time.
type Probe struct {
	t       testing.TB
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	lines   chan []byte // closed when the process ended
	stderr  *tail
	results int // lines of the job under way
}

// library is a client library, and how to start the probe around it.
type library struct {
	name    string
	part    part
	command func(t testing.TB) []string
	codec   func(name string) map[string]any // settings to produce with a codec, acks=all and a batch of many records
	codecs  []string
	nulls   bool // headers may be null and repeated
}

// start starts the probe; it ends with the test.
func (l library) start(t testing.TB) *Probe {
	t.Helper()
	need(t, l.part)
	return startProbe(t, l.name, l.command(t)...)
}

func startProbe(t testing.TB, name string, command ...string) *Probe {
	t.Helper()
	p := &Probe{t: t, name: name, cmd: exec.Command(command[0], command[1:]...), lines: make(chan []byte, 1000), stderr: &tail{}}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		defer close(p.lines)
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, 32<<20)
		for scanner.Scan() {
			p.lines <- append([]byte(nil), scanner.Bytes()...)
		}
	}()
	t.Cleanup(p.end)
	return p
}

// end kills what still runs and shows what it complained of when the test failed.
func (p *Probe) end() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	for range p.lines {
	}
	p.cmd.Wait()
	if said := p.stderr.String(); p.t.Failed() && said != "" {
		p.t.Logf("%s printed:\n%s", p.name, said)
	}
}

// Terminate asks the process to end, as Ctrl-C does.
func (p *Probe) Terminate() { p.cmd.Process.Signal(syscall.SIGTERM) }

// Kill ends the process at once.
func (p *Probe) Kill() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// Send gives the probe a job. Its results come from Next.
func (p *Probe) Send(job Job) {
	p.t.Helper()
	line, err := json.Marshal(job)
	if err != nil {
		p.t.Fatal(err)
	}
	p.results = 0
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("%s: job: %v\n%s", p.name, err, p.stderr)
	}
}

// Next is the next line of the job under way; false when the job is done, which may have failed.
func (p *Probe) Next() (line []byte, more bool, err error) {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s ended after %d results\n%s", p.name, p.results, p.stderr)
		}
		var done struct {
			Done  bool
			Error string
		}
		if json.Unmarshal(line, &done) == nil && done.Done {
			if done.Error != "" {
				err = fmt.Errorf("%s: %s", p.name, done.Error)
			}
			return nil, false, err
		}
		p.results++
		return line, true, nil
	case <-time.After(patience):
		p.t.Fatalf("%s: no result for %v after %d results\n%s", p.name, patience, p.results, p.stderr)
	}
	panic("unreachable")
}

// Do runs a job to its end and gives its results.
func (p *Probe) Do(job Job) ([]json.RawMessage, error) {
	p.t.Helper()
	p.Send(job)
	var results []json.RawMessage
	for {
		line, more, err := p.Next()
		if !more {
			return results, err
		}
		results = append(results, line)
	}
}

// Produce sends the job's records and gives them back with the partition, offset and timestamp of their acks.
func (p *Probe) Produce(job Job) []Record {
	p.t.Helper()
	acks, err := p.TryProduce(job)
	if err != nil {
		p.t.Fatalf("%s to %s: %v", p.name, job.Topic, err)
	}
	if len(acks) != len(job.Records) {
		p.t.Fatalf("%s to %s: %d acks for %d records", p.name, job.Topic, len(acks), len(job.Records))
	}
	return acks
}

// TryProduce is Produce when some or all may be refused. The error is the first.
func (p *Probe) TryProduce(job Job) (acked []Record, failure error) {
	p.t.Helper()
	job.Op = "produce"
	results, failure := p.Do(job)
	sent := make(map[int]Record)
	for _, r := range job.Records {
		sent[r.ID] = r
	}
	for _, line := range results {
		var ack struct {
			Record
			Error string
		}
		p.decode(line, &ack)
		if ack.Error != "" {
			if failure == nil {
				failure = fmt.Errorf("record %d: %s", ack.ID, ack.Error)
			}
			continue
		}
		r := sent[ack.ID]
		r.Partition, r.Offset, r.Timestamp = ack.Partition, ack.Offset, ack.Timestamp
		acked = append(acked, r)
	}
	return acked, failure
}

// Consume reads as many records of a topic as the job expects.
func (p *Probe) Consume(job Job) []Record {
	p.t.Helper()
	job.Op = "consume"
	results, err := p.Do(job)
	if err != nil {
		p.t.Fatalf("%s from %s: %v", p.name, job.Topic, err)
	}
	records := make([]Record, len(results))
	for i, line := range results {
		p.decode(line, &records[i])
	}
	return records
}

func (p *Probe) decode(line []byte, into any) {
	p.t.Helper()
	if err := json.Unmarshal(line, into); err != nil {
		p.t.Fatalf("%s said %s: %v", p.name, line, err)
	}
}

// settings is a config in JSON.
func settings(pairs ...any) map[string]any {
	config := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		config[pairs[i].(string)] = pairs[i+1]
	}
	return config
}

// contains reports whether an error says a text.
func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
