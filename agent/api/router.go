package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
)

// What Handle refuses. The connection is closed, as Kafka closes it.
var (
	ErrMalformed   = errors.New("malformed request")
	ErrUnsupported = errors.New("unsupported api key or version")
	ErrAmplified   = errors.New("request would decode to too much memory")
	ErrNoMemory    = errors.New("no memory to decode the request")
	ErrNoReply     = errors.New("request without a reply failed") // Produce with acks=0
)

// Reply makes a response, without its length. It runs on the connection's writer, in the order of the requests, and
// may block; ctx ends with the connection. No buffers and no error means that nothing is sent. The buffers are read
// only: records among them belong to the fetch engine's cache.
type Reply func(ctx context.Context) (net.Buffers, error)

// Config is what the router is told.
type Config struct {
	Settings      topic.Config // the Kafka-named settings given at start; they were checked
	MaxPartitions int32        // that a topic may have
	Metrics       *Metrics     // nil: nothing is counted
	AnswerBytes   int64        // of records in fetch answers that were read and have not left, of all connections together
}

// DefaultConfig is what an agent uses when nothing is said.
func DefaultConfig() Config { return Config{MaxPartitions: 10_000, AnswerBytes: 128 << 20} }

// Router answers requests from the engines. It is safe for concurrent use.
type Router struct {
	Engines
	cfg      Config
	log      *slog.Logger
	sessions *sessionCache
	answers  *answers
	looks    looks

	fetchMaxBytes int32 // fetch.max.bytes
}

// New makes a router.
func New(engines Engines, cfg Config, log *slog.Logger) *Router {
	start := topic.Cluster{cfg.Settings}
	return &Router{
		Engines: engines, cfg: cfg, log: log,
		sessions:      newSessionCache(int(start.Int64("max.incremental.fetch.session.cache.slots")), time.Now),
		answers:       newAnswers(cfg.AnswerBytes),
		looks:         looks{read: engines.Cluster.CatchUp},
		fetchMaxBytes: int32(start.Int64("fetch.max.bytes")),
	}
}

// cluster is the settings of the whole cluster: those of the control state before those given at start.
func (rt *Router) cluster(s State) topic.Cluster {
	return topic.Cluster{s.Info().Configs, rt.cfg.Settings}
}

// defaultPartitions is how many partitions a topic gets that does not say.
func (rt *Router) defaultPartitions(s State) int32 {
	return min(int32(rt.cluster(s).Int64("num.partitions")), rt.cfg.MaxPartitions)
}

// call is one request on its way through its handler.
type call struct {
	conn        *Conn
	frame       *Frame
	key         int16
	version     int16
	correlation int32
	clientID    string
	received    time.Time
}

// answer is the second half of a handler: see the package comment. A nil response sends nothing.
type answer func(ctx context.Context) (kmsg.Response, error)

// now is the answer that is known already.
func now(r kmsg.Response) answer {
	return func(context.Context) (kmsg.Response, error) { return r, nil }
}

// Handle runs the first half of the frame's handler and returns the second. It must be called in the order of the
// requests of a connection. An error closes the connection; it is one of the sentinels above, ErrNoReply aside, or
// the end of ctx.
func (rt *Router) Handle(ctx context.Context, conn *Conn, frame *Frame) (Reply, error) {
	h, body, err := readHeader(frame.Bytes)
	if err != nil {
		return nil, err
	}
	e, ok := endpoints[h.key]
	if !ok {
		return nil, fmt.Errorf("%w: key %d", ErrUnsupported, h.key)
	}
	c := &call{conn: conn, frame: frame, key: h.key, version: h.version, correlation: h.correlation,
		clientID: h.clientID, received: time.Now()}
	if span := trace.From(ctx); span.On() {
		span.Number("odradek.api.version", int64(h.version))
		span.Text("messaging.client.id", h.clientID)
		span.Text("client.address", conn.Remote.String())
		span.Text("server.address", conn.Local.String())
	}
	if h.version < e.accepted || h.version > e.max {
		if h.key == apiVersionsKey {
			return c.reply(rt.apiVersionsFallback(c)), nil
		}
		return nil, fmt.Errorf("%w: %s version %d", ErrUnsupported, kmsg.NameForKey(h.key), h.version)
	}
	req := e.request()
	req.SetVersion(h.version)
	cost, err := measure(e.shape, body, h.version, req.IsFlexible())
	if err != nil {
		return nil, fmt.Errorf("%s version %d: %w", kmsg.NameForKey(h.key), h.version, err)
	}
	if cost > freeDecode && !frame.Charge(cost) {
		return nil, ErrNoMemory
	}
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %s version %d: %w", ErrMalformed, kmsg.NameForKey(h.key), h.version, err)
	}
	a, err := e.handle(rt, ctx, c, req)
	if err != nil || a == nil {
		return nil, err
	}
	return c.reply(a), nil
}

// buffered is a response that knows its own buffers, so that records are not copied together.
type buffered interface {
	appendBuffers(head []byte) net.Buffers
}

// reply encodes what a answers behind the response header.
func (c *call) reply(a answer) Reply {
	return func(ctx context.Context) (net.Buffers, error) {
		resp, err := a(ctx)
		if err != nil || resp == nil {
			return nil, err
		}
		if c.key != apiVersionsKey || c.version <= maxVersion(apiVersionsKey) {
			resp.SetVersion(c.version)
		}
		head := appendInt32(make([]byte, 0, 128), c.correlation)
		if resp.IsFlexible() && c.key != apiVersionsKey {
			head = append(head, 0)
		}
		if b, ok := resp.(buffered); ok {
			return b.appendBuffers(head), nil
		}
		return net.Buffers{resp.AppendTo(head)}, nil
	}
}
