package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
)

const (
	patience = 90 * time.Second // until a broker is up, or has cleaned
	maxRaw   = 1 << 20

	connections = 16 // of a side, for requests that wait
)

// side is one of the two brokers. Requests are sent as they are, and nothing is tried again.
type side struct {
	t      *testing.T
	name   string
	broker *kgo.Broker
	more   []*kgo.Broker       // the same, each on a connection of its own
	ids    map[string][16]byte // of topics
}

// open waits until a broker answers.
func open(t *testing.T, name, addr string) *side {
	t.Helper()
	s := &side{t: t, name: name, ids: make(map[string][16]byte)}
	s.until("a broker that answers", func() (err error) {
		s.broker, err = s.dial(addr)
		return err
	})
	for range connections {
		b, err := s.dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		s.more = append(s.more, b)
	}
	return s
}

func (s *side) dial(addr string) (*kgo.Broker, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(resp.Brokers) != 1 {
		return nil, fmt.Errorf("%d brokers", len(resp.Brokers))
	}
	return c.Broker(int(resp.Brokers[0].NodeID)), nil
}

// until tries again until something is as it should be.
func (s *side) until(what string, try func() error) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(began) > patience || s.t.Context().Err() != nil {
			s.t.Fatalf("%s: no %s after %v: %v", s.name, what, time.Since(began).Round(time.Second), err)
		}
	}
}

func ask[R kmsg.Response](s *side, req kmsg.Request) R {
	s.t.Helper()
	resp, err := try[R](s, s.broker, req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// try is ask for any goroutine.
func try[R kmsg.Response](s *side, at *kgo.Broker, req kmsg.Request) (resp R, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	got, err := at.Request(ctx, req)
	if err != nil {
		return resp, fmt.Errorf("%s: %s: %w", s.name, kmsg.NameForKey(req.Key()), err)
	}
	return got.(R), nil
}

// create makes a topic of one partition and waits until it has a leader.
func (s *side) create(name string, configs ...string) {
	s.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	for i := 0; i+1 < len(configs); i += 2 {
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	req.Topics = append(req.Topics, topic)
	for _, r := range ask[*kmsg.CreateTopicsResponse](s, req).Topics {
		if r.ErrorCode != 0 {
			s.t.Fatalf("%s: topic %s: error %d", s.name, name, r.ErrorCode)
		}
	}
	s.until("leader of "+name, func() error {
		if a := s.offset(name, -1); a.Code != 0 {
			return fmt.Errorf("error %d", a.Code)
		}
		return nil
	})
}

// produce appends batches one by one, each to be a unit of its own.
func (s *side) produce(name string, batches ...[]byte) {
	s.t.Helper()
	for _, b := range batches {
		if code := s.tryProduce(name, b); code != 0 {
			s.t.Fatalf("%s: produce to %s: error %d", s.name, name, code)
		}
	}
}

func (s *side) tryProduce(name string, batch []byte) int16 {
	s.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 20_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = name, s.id(name)
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return ask[*kmsg.ProduceResponse](s, req).Topics[0].Partitions[0].ErrorCode
}

// id is the id of a topic.
func (s *side) id(name string) [16]byte {
	s.t.Helper()
	if id, ok := s.ids[name]; ok {
		return id
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	s.ids[name] = ask[*kmsg.MetadataResponse](s, req).Topics[0].TopicID
	return s.ids[name]
}

// listed is the answer to ListOffsets.
type listed struct {
	Code         int16
	Offset, Time int64
}

// offset asks ListOffsets for partition 0.
func (s *side) offset(name string, time int64) listed {
	s.t.Helper()
	return s.offsets(name, time)[time]
}

// offsets asks for many times at once: an agent proves only so often in a second that it is the owner, and answers the
// requests of a connection one after the other.
func (s *side) offsets(name string, times ...int64) map[int64]listed {
	s.t.Helper()
	out, errs := make([]listed, len(times)), make([]error, len(times))
	var all sync.WaitGroup
	for i, time := range times {
		all.Go(func() {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.TimeoutMillis = -1, 5000
			topic := kmsg.NewListOffsetsRequestTopic()
			topic.Topic = name
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp, p.CurrentLeaderEpoch = time, -1
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			resp, err := try[*kmsg.ListOffsetsResponse](s, s.more[i%len(s.more)], req)
			if errs[i] = err; err == nil {
				r := resp.Topics[0].Partitions[0]
				out[i] = listed{r.ErrorCode, r.Offset, r.Timestamp}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
	of := make(map[int64]listed, len(times))
	for i, time := range times {
		of[time] = out[i]
	}
	return of
}

// deleted is the answer to DeleteRecords.
type deleted struct {
	Code int16
	Low  int64
}

func (s *side) deleteRecords(name string, partition int32, to int64) deleted {
	s.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = name
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, to
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	r := ask[*kmsg.DeleteRecordsResponse](s, req).Topics[0].Partitions[0]
	return deleted{r.ErrorCode, r.LowWatermark}
}

// fetched is the answer to Fetch.
type fetched struct {
	Code                int16
	High, Stable, Start int64
	Bases, Times        []int64              // of the batches: base offsets and largest times
	Records             []recordbatch.Record // of those, below the offset asked for too
	Next                int64                // behind the last batch; 0 if there is none
}

// fetch reads partition 0 from an offset on, at most so many bytes, one batch at least.
func (s *side) fetch(name string, from int64, most int32) fetched {
	s.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 100, 0, most, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = name, s.id(name)
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = from, most
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	r := ask[*kmsg.FetchResponse](s, req).Topics[0].Partitions[0]
	out := fetched{Code: r.ErrorCode, High: r.HighWatermark, Stable: r.LastStableOffset, Start: r.LogStartOffset}
	for b := r.RecordBatches; len(b) >= recordbatch.HeaderSize; {
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			break // Kafka ends an answer anywhere
		}
		info, err := recordbatch.CheckStored(b[:size])
		if err != nil {
			s.t.Fatalf("%s: %s from %d on: %v", s.name, name, from, err)
		}
		out.Bases = append(out.Bases, int64(info.BaseOffset))
		out.Times = append(out.Times, info.MaxTimestamp)
		out.Next = int64(info.Next())
		for record, err := range recordbatch.Records(b[:size], maxRaw) {
			if err != nil {
				s.t.Fatalf("%s: %s at %d: %v", s.name, name, info.BaseOffset, err)
			}
			out.Records = append(out.Records, record)
		}
		b = b[size:]
	}
	return out
}

// records reads all of partition 0 below an offset.
func (s *side) records(name string, below int64) []recordbatch.Record {
	s.t.Helper()
	var all []recordbatch.Record
	for from := s.offset(name, -2).Offset; from < below; {
		got := s.fetch(name, from, 1<<20)
		if got.Code != 0 || got.Next <= from {
			s.t.Fatalf("%s: %s from %d on: error %d, up to %d", s.name, name, from, got.Code, got.Next)
		}
		for _, r := range got.Records {
			if int64(r.Offset) >= from && int64(r.Offset) < below {
				all = append(all, r)
			}
		}
		from = got.Next // the last records of a batch may be gone
	}
	return all
}
