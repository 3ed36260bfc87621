package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// codes counts the error codes of all answers that clients read, as they stand on the wire: what a client library hides
// is counted as well. Safe for concurrent use.
type codes struct {
	mu sync.Mutex     // guards n
	n  map[string]int // by request and code; what could not be read as "unread"
}

func newCodes() *codes { return &codes{n: make(map[string]int)} }

// dial connects as a client does, and reads along.
func (c *codes) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: conn, codes: c, asked: make(map[int32]asked)}, nil
}

// take gives what was counted so far and begins anew.
func (c *codes) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = make(map[string]int)
	return n
}

func (c *codes) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name] += n
}

// tell prints counts on one line, and reports whether there is none but NOT_LEADER_OR_FOLLOWER and NOT_COORDINATOR, which
// say who is to be asked instead.
func tell(counts map[string]int) (line string, onlyMoved bool) {
	onlyMoved = true
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s %d", name, counts[name]))
		if !strings.HasSuffix(name, kerr.NotLeaderForPartition.Message) && !strings.HasSuffix(name, kerr.NotCoordinator.Message) {
			onlyMoved = false
		}
	}
	if len(out) == 0 {
		return "none", true
	}
	return strings.Join(out, ", "), onlyMoved
}

// asked is a request whose answer is still to come.
type asked struct{ key, version int16 }

// tapped is a client's connection that is read along. A client writes each request in one piece.
type tapped struct {
	net.Conn
	codes *codes

	mu    sync.Mutex // guards asked
	asked map[int32]asked
	in    []byte // read and not yet a whole answer; Read only
}

func (t *tapped) Write(b []byte) (int, error) {
	if len(b) >= 12 && int(binary.BigEndian.Uint32(b)) == len(b)-4 {
		t.mu.Lock()
		t.asked[int32(binary.BigEndian.Uint32(b[8:]))] = asked{int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))}
		t.mu.Unlock()
	} else {
		t.codes.add("unread request", 1)
	}
	return t.Conn.Write(b)
}

func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.in = append(t.in, b[:n]...)
	for len(t.in) >= 8 {
		size := int(binary.BigEndian.Uint32(t.in)) + 4
		if len(t.in) < size {
			break
		}
		t.answer(t.in[4:size])
		t.in = t.in[size:]
	}
	if len(t.in) == 0 {
		t.in = nil
	}
	return n, err
}

// answer counts the codes of one answer.
func (t *tapped) answer(b []byte) {
	id := int32(binary.BigEndian.Uint32(b))
	t.mu.Lock()
	a, ok := t.asked[id]
	delete(t.asked, id)
	t.mu.Unlock()
	if !ok {
		t.codes.add("unread answer", 1)
		return
	}
	found := make(map[string]int)
	if err := readCodes(a, b[4:], found); err != nil {
		t.codes.add("unread answer to "+kmsg.NameForKey(a.key), 1)
		return
	}
	for name, n := range found {
		t.codes.add(name, n)
	}
}

// readCodes decodes an answer and counts its codes that are not 0.
func readCodes(a asked, b []byte, found map[string]int) error {
	resp := kmsg.ResponseForKey(a.key)
	if resp == nil {
		return errors.New("no such request")
	}
	resp.SetVersion(a.version)
	if resp.IsFlexible() && kmsg.Key(a.key) != kmsg.ApiVersions {
		if len(b) == 0 || b[0] != 0 {
			return errors.New("tags in a header")
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return err
	}
	walkCodes(reflect.ValueOf(resp), func(code int16) {
		name := fmt.Sprintf("code %d", code)
		if err, ok := errors.AsType[*kerr.Error](kerr.ErrorForCode(code)); ok {
			name = err.Message
		}
		found[kmsg.NameForKey(a.key)+" "+name]++
	})
	return nil
}

// walkCodes calls for every field ErrorCode that is not 0.
func walkCodes(v reflect.Value, call func(code int16)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walkCodes(v.Elem(), call)
		}
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Pointer {
			for i := range v.Len() {
				walkCodes(v.Index(i), call)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if v.Type().Field(i).Name == "ErrorCode" && f.Kind() == reflect.Int16 {
				if f.Int() != 0 {
					call(int16(f.Int()))
				}
				continue
			}
			walkCodes(f, call)
		}
	}
}
