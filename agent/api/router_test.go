package api_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
	"github.com/odradek/odradek/topic"
)

// broker is a router over fakes, asked without a network.
type broker struct {
	*apitest.Fake
	router *api.Router
	conn   *api.Conn
}

func newBroker(change func(*api.Config)) *broker {
	cfg := api.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	fake := apitest.New("localhost", 9092)
	return &broker{Fake: fake, router: api.New(fake.Engines(), cfg, slog.New(slog.DiscardHandler)), conn: &api.Conn{}}
}

// request is a frame as a client sends it.
func request(req kmsg.Request, correlation int32) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))
	return f.AppendRequest(nil, req, correlation)[4:]
}

// handle runs both halves of a frame and gives the reply's bytes.
func (b *broker) handle(ctx context.Context, frame []byte) ([]byte, error) {
	reply, err := b.router.Handle(ctx, b.conn, api.NewFrame(frame, nil, 0))
	if err != nil || reply == nil {
		return nil, err
	}
	buffers, err := reply(ctx)
	return bytes.Join(buffers, nil), err
}

// ask sends a request in a version and decodes the response.
func ask[R kmsg.Response](t *testing.T, b *broker, version int16, req kmsg.Request) R {
	t.Helper()
	req.SetVersion(version)
	const correlation = 4711
	got, err := b.handle(t.Context(), request(req, correlation))
	if err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	r := kbin.Reader{Src: got}
	if id := r.Int32(); id != correlation {
		t.Fatalf("correlation id %d, want %d", id, correlation)
	}
	if resp.IsFlexible() && req.Key() != 18 {
		if tags := r.Uvarint(); tags != 0 {
			t.Fatalf("%d header tags", tags)
		}
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		t.Fatalf("%s v%d response: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, r.Src) {
		t.Errorf("%s v%d: response of %d bytes is encoded again in %d", kmsg.NameForKey(req.Key()), version, len(r.Src), len(again))
	}
	return resp.(R)
}

func wantCode(t *testing.T, what string, got int16, want *kerr.Error) {
	t.Helper()
	code := int16(0)
	if want != nil {
		code = want.Code
	}
	if got != code {
		t.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(got), kerr.ErrorForCode(code))
	}
}

func TestHandle_UnknownKeysAndVersionsCloseTheConnection(t *testing.T) {
	b := newBroker(nil)
	header := func(key, version int16) []byte {
		h := binary.BigEndian.AppendUint16(nil, uint16(key))
		h = binary.BigEndian.AppendUint16(h, uint16(version))
		return append(h, 0, 0, 0, 1, 0xff, 0xff)
	}
	for _, frame := range [][]byte{
		header(999, 0), header(-1, 0), header(0, 2), header(0, 14), header(1, 3), header(1, 19), header(3, -1),
		header(4, 0), header(24, 0), header(68, 0),
	} {
		if _, err := b.handle(t.Context(), frame); !errors.Is(err, api.ErrUnsupported) {
			t.Errorf("frame %x: %v, want ErrUnsupported", frame, err)
		}
	}
	for _, frame := range [][]byte{nil, header(3, 9)[:7], append(header(3, 9)[:8], 0x7f, 0xff), header(3, 9)} {
		if _, err := b.handle(t.Context(), frame); !errors.Is(err, api.ErrMalformed) {
			t.Errorf("frame %x: %v, want ErrMalformed", frame, err)
		}
	}
}

func TestHandle_NoMemoryToDecode(t *testing.T) {
	b := newBroker(nil)
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = make([]kmsg.MetadataRequestTopic, 10_000)
	for i := range req.Topics {
		req.Topics[i].Topic = kmsg.StringPtr("t")
	}
	req.Version = 9
	frame := api.NewFrame(request(req, 1), noMemory{}, 0)
	if _, err := b.router.Handle(t.Context(), b.conn, frame); !errors.Is(err, api.ErrNoMemory) {
		t.Errorf("%v, want ErrNoMemory", err)
	}
}

type noMemory struct{}

func (noMemory) TryAcquire(int64) bool { return false }
func (noMemory) Release(int64)         {}

func TestApiVersions_UnknownVersionIsAnsweredInVersion0(t *testing.T) {
	b := newBroker(nil)
	frame := []byte{0, 18, 0, 99, 0, 0, 0, 5, 1, 2, 3}
	got, err := b.handle(t.Context(), frame)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(got[4:]); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "version 99", resp.ErrorCode, kerr.UnsupportedVersion)
	if got[3] != 5 || len(resp.ApiKeys) == 0 {
		t.Errorf("correlation id %d and %d keys, want 5 and the list", got[3], len(resp.ApiKeys))
	}
}

func apiVersions() *kmsg.ApiVersionsRequest {
	r := kmsg.NewPtrApiVersionsRequest()
	r.ClientSoftwareName, r.ClientSoftwareVersion, r.NodeID = "test", "1.0", -1
	return r
}

func TestApiVersions_EveryVersion(t *testing.T) {
	b := newBroker(nil)
	for version := int16(0); version <= 5; version++ {
		resp := ask[*kmsg.ApiVersionsResponse](t, b, version, apiVersions())
		wantCode(t, "api versions", resp.ErrorCode, nil)
		ranges := map[int16][2]int16{}
		for _, k := range resp.ApiKeys {
			ranges[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		if ranges[0] != [2]int16{0, 13} || ranges[1] != [2]int16{4, 18} || ranges[18] != [2]int16{0, 5} {
			t.Errorf("version %d shows %v", version, ranges)
		}
		for _, f := range resp.SupportedFeatures {
			if version == 3 && f.MinVersion == 0 {
				t.Errorf("version 3 shows feature %s from 0, which old clients refuse", f.Name)
			}
		}
		if version >= 3 && (len(resp.FinalizedFeatures) != 1 || resp.FinalizedFeatures[0].Name != "metadata.version") {
			t.Errorf("version %d finalizes %v", version, resp.FinalizedFeatures)
		}
	}
	if b.conn.Software != "test" {
		t.Errorf("software %q", b.conn.Software)
	}
}

func TestApiVersions_OnlyTheClusterIsChecked(t *testing.T) {
	b := newBroker(nil)
	for _, c := range []struct {
		name    string
		cluster *string
		node    int32
		want    *kerr.Error
	}{
		{"bootstrapping", nil, -1, nil},
		{"this cluster, another agent behind the same balancer", kmsg.StringPtr(apitest.ClusterID), 99, nil},
		{"another cluster", kmsg.StringPtr("other"), 7, kerr.RebootstrapRequired},
		{"cluster without node", kmsg.StringPtr(apitest.ClusterID), -1, kerr.InvalidRequest},
		{"node without cluster", nil, 7, kerr.InvalidRequest},
	} {
		req := apiVersions()
		req.ClusterID, req.NodeID = c.cluster, c.node
		wantCode(t, c.name, ask[*kmsg.ApiVersionsResponse](t, b, 5, req).ErrorCode, c.want)
	}
	bad := apiVersions()
	bad.ClientSoftwareName = "no spaces"
	wantCode(t, "bad name", ask[*kmsg.ApiVersionsResponse](t, b, 3, bad).ErrorCode, kerr.InvalidRequest)
}

// FuzzRequest sends any bytes as any key and version through the router: no panic, and no more memory than the bytes
// deserve.
func FuzzRequest(f *testing.F) {
	for key := int16(0); key < 80; key++ {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		for v := int16(0); v <= req.MaxVersion(); v++ {
			req.SetVersion(v)
			f.Add(key, v, req.AppendTo(nil))
		}
	}
	b := newBroker(nil)
	b.AddTopic("events", 4, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nothing waits
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		header := binary.BigEndian.AppendUint16(nil, uint16(key))
		header = binary.BigEndian.AppendUint16(header, uint16(version))
		header = append(header, 0, 0, 0, 1, 0xff, 0xff)
		if req := kmsg.RequestForKey(key); req != nil {
			if req.SetVersion(version); req.IsFlexible() {
				header = append(header, 0)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = b.handle(ctx, append(header, body...))
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20+300*uint64(len(body)) {
			t.Errorf("%s v%d: %d bytes took %d", kmsg.NameForKey(key), version, len(body), grown)
		}
	})
}

// newTopicConfig is a topic's settings in a test.
func newTopicConfig(pairs ...string) topic.Config {
	c := topic.Config{}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}
