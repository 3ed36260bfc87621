package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Log collects events, in memory, in a file, or in both.
type Log struct {
	began time.Time
	spill bool // in the file only

	mu     sync.Mutex // guards all below
	events []Event
	file   io.WriteCloser // nil: in memory only, or closed
	out    *bufio.Writer
	err    error // the first of the file
}

// New is a log in memory.
func New() *Log { return &Log{began: time.Now()} }

// Spill is a log in a file only, to be read by Load once it is closed: an hour of a busy pool is more than memory should
// hold meanwhile.
func Spill(path string) (*Log, error) {
	l, err := Create(path)
	if err == nil {
		l.spill = true
	}
	return l, err
}

// Create is a log in memory and in a file, one JSON object a line.
func Create(path string) (*Log, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	l := New()
	l.file, l.out = f, bufio.NewWriterSize(f, 1<<20)
	return l, nil
}

// Now is the time since the log began.
func (l *Log) Now() time.Duration { return time.Since(l.began) }

// Add keeps an event. The caller does not touch its Records afterwards.
func (l *Log) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.spill {
		l.events = append(l.events, e)
	}
	if l.out == nil || l.err != nil {
		return
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = l.out.Write(append(b, '\n'))
	}
	l.err = err
}

// Events gives all events in memory so far, in the order in which they were added. The caller must not change them.
func (l *Log) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)]
}

// Close writes the file's end. What is added afterwards is not in the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.out.Flush()
	if l.err != nil {
		err = l.err
	}
	if closed := l.file.Close(); err == nil {
		err = closed
	}
	l.file, l.out = nil, nil
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Load reads a file that Create or Spill wrote. Equal texts are kept once: most of them are the values of records, which the
// producer and each reader name.
func Load(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var events []Event
	texts := make(map[string]string)
	one := func(s *string) {
		if same, ok := texts[*s]; ok {
			*s = same
			return
		}
		texts[*s] = *s
	}
	for d := json.NewDecoder(bufio.NewReaderSize(f, 1<<20)); ; {
		var e Event
		switch err := d.Decode(&e); {
		case err == io.EOF:
			return events, nil
		case err != nil:
			return events, fmt.Errorf("%s: event %d: %w", path, len(events), err)
		}
		for _, s := range []*string{(*string)(&e.Kind), (*string)(&e.Outcome), &e.Client, &e.Topic, &e.Value, &e.Error, &e.Group, &e.Agent} {
			one(s)
		}
		for i := range e.Records {
			one(&e.Records[i].Value)
		}
		events = append(events, e)
	}
}
