package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	answerTime = 8 * time.Second // the longest wait for an answer
	quietTime  = 300 * time.Millisecond
	settleTime = 250 * time.Millisecond // until a change is seen by whoever answers next
)

// span is the versions of a key that a broker shows, both ends included.
type span struct{ min, max int16 }

// broker is one side of the comparison.
type broker struct {
	name   string
	addr   string
	run    string // prefix of every topic and group of this run
	now    int64  // ms; the same on both sides
	ids    map[[16]byte]string
	shown  map[int16]span
	common map[int16]span // what the other side shows

	scenario string
	conn     *link
	links    []*link // of this scenario
	steps    []step
}

// link is a connection.
type link struct {
	net.Conn
	correlation int32
	broken      bool
}

func connect(name, addr, run string, now int64) (*broker, error) {
	b := &broker{name: name, addr: addr, run: run, now: now, shown: map[int16]span{}, ids: map[[16]byte]string{}}
	b.begin("connect")
	resp := ask[*kmsg.ApiVersionsResponse](b, "versions", 0, kmsg.NewPtrApiVersionsRequest())
	if len(resp.ApiKeys) == 0 {
		return nil, fmt.Errorf("%s at %s does not answer ApiVersions", name, addr)
	}
	for _, k := range resp.ApiKeys {
		b.shown[k.ApiKey] = span{k.MinVersion, k.MaxVersion}
	}
	for range 100 { // until the topic of groups exists
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = "warm"
		if ask[*kmsg.FindCoordinatorResponse](b, "warm", 3, req).ErrorCode == 0 {
			b.end()
			return b, nil
		}
		time.Sleep(settleTime)
	}
	return nil, fmt.Errorf("%s at %s has no group coordinator", name, addr)
}

func (b *broker) begin(scenario string) {
	b.scenario, b.steps, b.links = scenario, nil, nil
	b.conn = nil
}

func (b *broker) end() {
	for _, l := range b.links {
		l.Close()
	}
}

// dial opens a connection of the scenario.
func (b *broker) dial() *link {
	c, err := net.DialTimeout("tcp", b.addr, answerTime)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", b.name, err)
		os.Exit(2)
	}
	l := &link{Conn: c}
	b.links = append(b.links, l)
	return l
}

// main is the connection that requests go over when nothing else is said; a new one when the last was closed.
func (b *broker) main() *link {
	if b.conn == nil || b.conn.broken {
		b.conn = b.dial()
	}
	return b.conn
}

// versions lists the versions of a key that both sides show.
func (b *broker) versions(key kmsg.Key) []int16 {
	mine, other := b.shown[key.Int16()], b.common[key.Int16()]
	var all []int16
	for v := max(mine.min, other.min); v <= min(mine.max, other.max); v++ {
		all = append(all, v)
	}
	return all
}

// ask sends a request, notes the answer as a step and gives it; a zero one when the connection was closed.
func ask[R kmsg.Response](b *broker, label string, version int16, req kmsg.Request) R {
	l := b.main()
	b.send(l, version, req)
	return answer[R](b, l, label, version, req)
}

// answer waits for the answer to a request that was sent and notes it.
func answer[R kmsg.Response](b *broker, l *link, label string, version int16, req kmsg.Request) R {
	label = fmt.Sprintf("%s (%s v%d)", label, kmsg.NameForKey(req.Key()), version)
	resp, err := b.read(l, version, req)
	if err != nil {
		b.steps = append(b.steps, step{label: label, fields: map[string]string{"connection": err.Error()}})
		return req.ResponseKind().(R)
	}
	b.steps = append(b.steps, b.transcribe(label, resp))
	return resp.(R)
}

// quietly asks without a step, for what scenarios need to be there first.
func quietly[R kmsg.Response](b *broker, version int16, req kmsg.Request) R {
	r := ask[R](b, "", version, req)
	b.steps = b.steps[:len(b.steps)-1]
	return r
}

// note adds a step of one field.
func (b *broker) note(label, value string) {
	b.steps = append(b.steps, step{label: label, fields: map[string]string{"": value}})
}

func (b *broker) send(l *link, version int16, req kmsg.Request) {
	req.SetVersion(version)
	l.correlation++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("peer")).AppendRequest(nil, req, l.correlation)
	if _, err := l.Write(frame); err != nil {
		l.broken = true
	}
}

var errClosed = errors.New("closed")

// read takes the next answer of a connection.
func (b *broker) read(l *link, version int16, req kmsg.Request) (kmsg.Response, error) {
	body, err := l.frame(answerTime)
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if req.Key() == kmsg.ApiVersions.Int16() && len(body) >= 2 && body[1] == 35 { // UNSUPPORTED_VERSION comes in version 0
		resp.SetVersion(0)
	} else if resp.IsFlexible() && req.Key() != kmsg.ApiVersions.Int16() {
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("tags in the response header")
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("undecodable: %w", err)
	}
	return resp, nil
}

// frame reads one frame and gives what follows its correlation id.
func (l *link) frame(wait time.Duration) ([]byte, error) {
	if l.broken {
		return nil, errClosed
	}
	l.SetReadDeadline(time.Now().Add(wait))
	var size [4]byte
	if _, err := io.ReadFull(l, size[:]); err != nil {
		l.broken = true
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			return nil, errors.New("no answer")
		}
		return nil, errClosed
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(l, body); err != nil || len(body) < 4 {
		l.broken = true
		return nil, errClosed
	}
	return body[4:], nil
}

// topic creates a topic of this run and gives its id once every partition has a leader.
func (b *broker) topic(name string, partitions int32, configs ...string) [16]byte {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = b.run+name, partitions, 1
	for i := 0; i+1 < len(configs); i += 2 {
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	req.Topics = append(req.Topics, t)
	id := quietly[*kmsg.CreateTopicsResponse](b, 7, req)
	if len(id.Topics) == 1 && id.Topics[0].ErrorCode != 0 {
		fmt.Fprintf(os.Stderr, "%s: topic %s: error %d\n", b.name, name, id.Topics[0].ErrorCode)
	}
	for range 50 {
		m := kmsg.NewPtrMetadataRequest()
		m.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(b.run + name)}}
		got := quietly[*kmsg.MetadataResponse](b, 12, m)
		if len(got.Topics) == 1 && got.Topics[0].ErrorCode == 0 && ready(got.Topics[0]) && b.led(b.run+name, partitions) {
			b.ids[got.Topics[0].TopicID] = name
			return got.Topics[0].TopicID
		}
		time.Sleep(settleTime / 5)
	}
	return [16]byte{}
}

// led tells whether every partition answers: Kafka's leaders begin a moment after they are named.
func (b *broker) led(name string, partitions int32) bool {
	var all []int32
	for i := range partitions {
		all = append(all, i)
	}
	got := quietly[*kmsg.ListOffsetsResponse](b, 7, listing(name, 0, -1, -1, all...))
	for _, t := range got.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
	}
	return len(got.Topics) == 1
}

func ready(t kmsg.MetadataResponseTopic) bool {
	for _, p := range t.Partitions {
		if p.ErrorCode != 0 {
			return false
		}
	}
	return len(t.Partitions) > 0
}

// settle waits until a change is seen everywhere.
func (b *broker) settle() { time.Sleep(settleTime) }
