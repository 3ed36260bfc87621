package api

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// asKmsg is the response as kmsg would hold it.
func (r *fetchResponse) asKmsg() *kmsg.FetchResponse {
	full := *r.FetchResponse
	for _, run := range topicRuns(r.answers) {
		t := kmsg.FetchResponseTopic{Topic: run[0].key.name, TopicID: run[0].key.id}
		for _, a := range run {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode = a.key.index, a.code
			p.HighWatermark, p.LastStableOffset, p.LogStartOffset = a.highWatermark, a.lastStable, a.logStart
			p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			p.RecordBatches = bytes.Join(a.records, nil)
			if p.RecordBatches == nil {
				p.RecordBatches = []byte{}
			}
			if a.hinted {
				p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = a.leader.NodeID, int32(a.leader.Epoch)
			}
			t.Partitions = append(t.Partitions, p)
		}
		full.Topics = append(full.Topics, t)
	}
	if r.Version >= 16 {
		for _, a := range r.agents {
			full.Brokers = append(full.Brokers, kmsg.FetchResponseBroker{NodeID: a.NodeID, Host: a.Host, Port: a.Port, Rack: rack(a)})
		}
	}
	return &full
}

func flatten(b net.Buffers) []byte { return bytes.Join(b, nil) }

func TestFetchResponse_IsWhatKmsgEncodes(t *testing.T) {
	long := make([]byte, 300)
	r := &fetchResponse{
		FetchResponse: &kmsg.FetchResponse{ThrottleMillis: 3, SessionID: 77},
		answers: []fetched{
			{key: fetchKey{name: "a", id: [16]byte{1}, index: 0}, highWatermark: 9, lastStable: 9, logStart: 1,
				records: [][]byte{[]byte("first"), long}, size: 305},
			{key: fetchKey{name: "a", id: [16]byte{1}, index: 1}, highWatermark: 4, lastStable: 4},
			{key: fetchKey{name: "b", id: [16]byte{2}, index: 5}, code: 6, highWatermark: -1, lastStable: -1, logStart: -1,
				hinted: true, leader: Owner{NodeID: 3, Epoch: 2}},
			{key: fetchKey{name: "a", id: [16]byte{1}, index: 2}, records: [][]byte{[]byte("last")}, size: 4},
		},
		agents: []Agent{{NodeID: 3, Host: "h", Port: 9, Zone: "z"}, {NodeID: 4, Host: "i", Port: 9}},
	}
	for version := int16(4); version <= 18; version++ {
		r.Version = version
		head := []byte("head")
		got, want := flatten(r.appendBuffers(head)), r.asKmsg().AppendTo([]byte("head"))
		if !bytes.Equal(got, want) {
			t.Errorf("version %d:\n got %x\nwant %x", version, got, want)
		}
	}
	empty := &fetchResponse{FetchResponse: &kmsg.FetchResponse{Version: 18}}
	if got, want := flatten(empty.appendBuffers(nil)), empty.asKmsg().AppendTo(nil); !bytes.Equal(got, want) {
		t.Errorf("no partitions: got %x, want %x", got, want)
	}
}

func TestFetchResponse_RecordsAreNotCopied(t *testing.T) {
	records := []byte("records")
	r := &fetchResponse{FetchResponse: &kmsg.FetchResponse{Version: 12}, answers: []fetched{{records: [][]byte{records}, size: len(records)}}}
	for _, b := range r.appendBuffers(nil) {
		if len(b) == len(records) && &b[0] == &records[0] {
			return
		}
	}
	t.Error("the records are not among the buffers")
}

func BenchmarkFetchResponse(b *testing.B) {
	for _, n := range []int{1, 100} {
		record := make([]byte, 1<<20/n)
		r := &fetchResponse{FetchResponse: &kmsg.FetchResponse{Version: 18}}
		for i := range n {
			r.answers = append(r.answers, fetched{key: fetchKey{index: int32(i)}, records: [][]byte{record}, size: len(record)})
		}
		b.Run(fmt.Sprintf("referenced/1MiB-%dp", n), func(b *testing.B) {
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				r.appendBuffers(nil)
			}
		})
		b.Run(fmt.Sprintf("kmsg/1MiB-%dp", n), func(b *testing.B) {
			full := r.asKmsg()
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				full.AppendTo(nil)
			}
		})
	}
}
