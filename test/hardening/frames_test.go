package hardening

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/test/harness"
)

const refusedFrames = "odradek_wire_refused_frames_total"

// declared is a frame that says it has n bytes.
func declared(n int32, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(n)), body...)
}

func metadataKey() int16 { return int16(kmsg.Metadata) }

// TestFrames_BadOnesCloseTheirConnection: each is refused for its reason, which is counted, and costs no memory.
func TestFrames_BadOnesCloseTheirConnection(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	b := stand(t, a)
	many := binary.BigEndian.AppendUint32(nil, 1<<20)
	topics := append(header(metadataKey(), 1, 1), many...)
	topics = append(topics, bytes.Repeat([]byte{0, 0}, 1<<20)...) // a million names of no bytes
	uvarint := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	flexible := func(key, version int16, rest ...byte) []byte {
		return append(append(header(key, version, 1), 0), rest...)
	}
	for _, c := range []struct {
		name, reason string
		sent         []byte
		half         bool // the client closes its side
	}{
		{name: "negative length", reason: "size", sent: declared(-1, nil)},
		{name: "least length", reason: "size", sent: declared(math.MinInt32, nil)},
		{name: "no length", reason: "size", sent: declared(0, nil)},
		{name: "short of a header", reason: "size", sent: declared(7, make([]byte, 7))},
		{name: "greatest length", reason: "size", sent: declared(math.MaxInt32, header(0, 9, 1))},
		{name: "as HTTP", reason: "size", sent: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{name: "as TLS", reason: "size", sent: []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}},
		{name: "cut length", reason: "truncated", sent: []byte{0, 0}, half: true},
		{name: "cut header", reason: "truncated", sent: declared(100, header(0, 9, 1)[:5]), half: true},
		{name: "cut body", reason: "truncated", sent: declared(1000, make([]byte, 900)), half: true},
		{name: "cut large body", reason: "truncated", sent: declared(4*mib, make([]byte, mib)), half: true},
		{name: "unknown key", reason: "unsupported", sent: framed(header(999, 0, 1))},
		{name: "negative key", reason: "unsupported", sent: framed(header(-1, 0, 1))},
		{name: "key between brokers", reason: "unsupported", sent: framed(header(int16(kmsg.LeaderAndISR), 0, 1))},
		{name: "version too new", reason: "unsupported", sent: framed(header(metadataKey(), 99, 1))},
		{name: "negative version", reason: "unsupported", sent: framed(header(metadataKey(), -3, 1))},
		{name: "negative version of ApiVersions", reason: "unsupported", sent: framed(header(int16(kmsg.ApiVersions), -1, 1))},
		{name: "produce of an old format", reason: "unsupported", sent: framed(header(0, 2, 1))},
		{name: "client id beyond the frame", reason: "malformed", sent: framed(append(header(metadataKey(), 1, 1)[:8], 0x7f, 0xff, 'a'))},
		{name: "array beyond the frame", reason: "malformed", sent: framed(append(header(metadataKey(), 1, 1), 0x7f, 0xff, 0xff, 0xff))},
		{name: "negative array", reason: "malformed", sent: framed(append(header(metadataKey(), 1, 1), 0xff, 0xff, 0xff, 0xfe))},
		{name: "array that grows", reason: "amplified", sent: framed(topics)},
		{name: "compact array beyond the frame", reason: "malformed", sent: framed(flexible(metadataKey(), 9, uvarint(1<<31)...))},
		{name: "endless varint", reason: "malformed", sent: framed(flexible(metadataKey(), 9, bytes.Repeat([]byte{0xff}, 30)...))},
		{name: "string beyond the frame", reason: "malformed", sent: framed(flexible(metadataKey(), 9, 2, 0xff, 0xff, 3, 'x'))},
		{name: "tags beyond the frame", reason: "malformed", sent: framed(append(header(metadataKey(), 9, 1), uvarint(1<<30)...))},
		{name: "tag longer than the frame", reason: "malformed", sent: framed(append(header(metadataKey(), 9, 1), 1, 0, 0xff, 0xff, 0x7f))},
		{name: "a million tags", reason: "amplified", sent: framed(append(append(header(metadataKey(), 9, 1), uvarint(1<<20)...), make([]byte, 2<<20)...))},
		{name: "bytes beyond the frame", reason: "malformed", sent: framed(append(header(0, 3, 1),
			0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 'x', 0, 0, 0, 1, 0, 0, 0, 0, 0x40, 0, 0, 0))},
	} {
		before := a.Metric(refusedFrames, `reason="`+c.reason+`"`)
		w := dial(t, a)
		w.Write(c.sent) // an error is the connection closed already
		if c.half {
			w.half()
		}
		if err := w.drained(); err != nil {
			t.Errorf("%s: connection is not closed: %v", c.name, err)
		}
		if after := a.Metric(refusedFrames, `reason="`+c.reason+`"`); after != before+1 {
			t.Errorf("%s: refused %v times as %s, want once", c.name, after-before, c.reason)
		}
	}
	b.content()
	bounded(t, a, memory)
}

// TestFrames_AnnouncedBytesHoldNothing: clients that announce large frames and send their first bytes only do not keep
// others from producing for longer than a stall.
func TestFrames_AnnouncedBytesHoldNothing(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	for range 200 {
		w := dial(t, a)
		if _, err := w.Write(declared(10*mib, header(0, 9, 1))); err != nil {
			t.Fatal(err)
		}
	}
	b := stand(t, a)
	time.Sleep(2 * time.Second)
	b.content()
	bounded(t, a, memory)
}

// TestFrames_SlowFramesGiveWay: clients that send parts of large frames hold memory, until others wait for it.
func TestFrames_SlowFramesGiveWay(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	for range 20 {
		w := dial(t, a)
		if _, err := w.Write(declared(10*mib, append(header(0, 9, 1), make([]byte, 64<<10)...))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	began := time.Now()
	b := stand(t, a)
	t.Logf("first record after %v", time.Since(began).Round(time.Millisecond))
	time.Sleep(time.Second)
	b.content()
	bounded(t, a, memory)
}

// TestFrames_ApiVersionsOfTheFutureIsAnswered: version 0 with UNSUPPORTED_VERSION and the list (KIP-511).
func TestFrames_ApiVersionsOfTheFutureIsAnswered(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	w := dial(t, a)
	if _, err := w.Write(framed(append(header(int16(kmsg.ApiVersions), 32000, 5), 0xde, 0xad))); err != nil {
		t.Fatal(err)
	}
	b, err := w.answer()
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(b[4:]); err != nil || resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) == 0 {
		t.Fatalf("error %v, code %d, %d keys", err, resp.ErrorCode, len(resp.ApiKeys))
	}
	ask[*kmsg.ApiVersionsResponse](t, w, versionsRequest()) // the connection goes on
}

// TestFrames_NamesThatAreNoText: a topic's name that is no UTF-8, or anything else but a name, is refused and made by
// nobody.
func TestFrames_NamesThatAreNoText(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	for _, name := range []string{"\xff\xfe", "a\x00b", "..", ".", "", "../../etc", string(bytes.Repeat([]byte{'x'}, 250)), "ü", "a b"} {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(9)
		req.AllowAutoTopicCreation = true
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
		resp := ask[*kmsg.MetadataResponse](t, dial(t, a), req)
		if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != kerr.InvalidTopicException.Code {
			t.Errorf("metadata of %q: %+v, want INVALID_TOPIC_EXCEPTION", name, resp.Topics)
		}
		create := kmsg.NewPtrCreateTopicsRequest()
		create.SetVersion(5)
		create.TimeoutMillis = 1000
		ct := kmsg.NewCreateTopicsRequestTopic()
		ct.Topic, ct.NumPartitions, ct.ReplicationFactor = name, 1, 1
		create.Topics = append(create.Topics, ct)
		created := ask[*kmsg.CreateTopicsResponse](t, dial(t, a), create)
		if created.Topics[0].ErrorCode != kerr.InvalidTopicException.Code {
			t.Errorf("creation of %q: code %d, want INVALID_TOPIC_EXCEPTION", name, created.Topics[0].ErrorCode)
		}
		produced := ask[*kmsg.ProduceResponse](t, dial(t, a), produceRequest(name, 0, []byte{1}))
		if produced.Topics[0].Partitions[0].ErrorCode == 0 {
			t.Errorf("produce to %q is acked", name)
		}
	}
}
