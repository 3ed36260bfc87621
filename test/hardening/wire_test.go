package hardening

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/test/harness"
)

// patience is how long an agent may take to answer or to close a connection.
const patience = 20 * time.Second

// maxAnswer bounds an answer that a test reads: more is a length that nobody meant.
const maxAnswer = 128 << 20

// wire is a connection that sends what it is told.
type wire struct {
	net.Conn
	formatter *kmsg.RequestFormatter
}

// dial connects to an agent's Kafka side until the test ends.
func dial(t testing.TB, a *harness.Agent) *wire {
	t.Helper()
	c, err := net.DialTimeout("tcp", a.Addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{c, kmsg.NewRequestFormatter(kmsg.FormatterClientID("hardening"))}
}

// framed puts the length before a request.
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// header is a request's header without a client id.
func header(key, version int16, correlation int32) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	return append(b, 0xff, 0xff)
}

// request encodes a request of its version with its length.
func (w *wire) request(req kmsg.Request, correlation int32) []byte {
	return w.formatter.AppendRequest(nil, req, correlation)
}

// answer reads one response without its length.
func (w *wire) answer() ([]byte, error) { return w.answerWithin(patience) }

func (w *wire) answerWithin(limit time.Duration) ([]byte, error) {
	if err := w.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(w, length[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(length[:]))
	if n < 4 || n > maxAnswer {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(w, b)
	return b, err
}

// ask sends a request and decodes its response.
func ask[R kmsg.Response](t testing.TB, w *wire, req kmsg.Request) R {
	t.Helper()
	if _, err := w.Write(w.request(req, 7)); err != nil {
		t.Fatal(err)
	}
	b, err := w.answer()
	if err != nil {
		t.Fatalf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	resp, err := decode(req, b)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(R)
}

// decode reads the response to req.
func decode(req kmsg.Request, b []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	b = b[4:]
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		if len(b) == 0 {
			return nil, errors.New("no tags in the header")
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("%s version %d: response of %d bytes: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), len(b), err)
	}
	return resp, nil
}

// drained reads until the agent closes the connection, and is nil when it did.
func (w *wire) drained() error {
	if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, w)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil // the end, or a reset
}

// half ends what this side sends.
func (w *wire) half() { w.Conn.(*net.TCPConn).CloseWrite() }
