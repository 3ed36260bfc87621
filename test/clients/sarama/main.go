// Command sarama is the client IBM/sarama as the tests drive it: a job a line on stdin, as JSON; on stdout its results,
// a line each, and then a line {"done":true} or {"done":true,"error":...}. It is a module of its own.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/IBM/sarama"
)

// header is [name, value] in JSON, the value in base64 or null.
type header struct {
	name  string
	value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.name, h.value}) }

func (h *header) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&h.name, &h.value}) }

type message struct {
	ID        int      `json:"id"`
	Partition *int32   `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp *int64   `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
	Error     string   `json:"error,omitempty"`
}

type job struct {
	Op        string            `json:"op"`
	Bootstrap string            `json:"bootstrap"`
	Topic     string            `json:"topic"`
	Config    map[string]string `json:"config"` // codec, version
	Records   []message         `json:"records"`
	Expect    int               `json:"expect"`
	Since     int64             `json:"since"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		done := struct {
			Done  bool   `json:"done"`
			Error string `json:"error,omitempty"`
		}{Done: true}
		if err := run(lines.Bytes()); err != nil {
			done.Error = err.Error()
		}
		emit(done)
	}
}

func run(line []byte) error {
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return err
	}
	config, err := j.config()
	if err != nil {
		return err
	}
	client, err := sarama.NewClient([]string{j.Bootstrap}, config)
	if err != nil {
		return err
	}
	defer client.Close()
	switch j.Op {
	case "produce":
		return j.produce(client)
	case "consume":
		return j.consume(client)
	}
	return fmt.Errorf("unknown op %s", j.Op)
}

func (j job) config() (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.Consumer.MaxWaitTime = 50 * time.Millisecond // a close waits for the fetch under way
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	if version := j.Config["version"]; version != "" {
		v, err := sarama.ParseKafkaVersion(version)
		if err != nil {
			return nil, err
		}
		config.Version = v
	}
	if codec := j.Config["codec"]; codec != "" {
		if err := config.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
			return nil, err
		}
	}
	if j.Config["idempotent"] == "true" {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	return config, nil
}

func (j job) produce(client sarama.Client) error {
	producer, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return err
	}
	go func() {
		for _, m := range j.Records {
			producer.Input() <- m.outgoing(j.Topic)
		}
		producer.AsyncClose()
	}()
	go func() {
		for failed := range producer.Errors() {
			emit(message{ID: failed.Msg.Metadata.(int), Error: failed.Err.Error()})
		}
	}()
	for sent := range producer.Successes() {
		ms := sent.Timestamp.UnixMilli()
		emit(message{ID: sent.Metadata.(int), Partition: &sent.Partition, Offset: sent.Offset, Timestamp: &ms})
	}
	return nil
}

func (j job) consume(client sarama.Client) error {
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partitions, err := client.Partitions(j.Topic)
	if err != nil {
		return err
	}
	records := make(chan *sarama.ConsumerMessage)
	done := make(chan struct{})
	defer close(done)
	for _, p := range partitions {
		from := sarama.OffsetOldest
		if j.Since != 0 {
			if from, err = client.GetOffset(j.Topic, p, j.Since); err != nil {
				return err
			}
		}
		partition, err := consumer.ConsumePartition(j.Topic, p, from)
		if err != nil {
			return err
		}
		defer partition.AsyncClose()
		go forward(partition.Messages(), records, done)
	}
	for range j.Expect {
		emit(incoming(<-records))
	}
	return nil
}

func forward(from <-chan *sarama.ConsumerMessage, to chan<- *sarama.ConsumerMessage, done <-chan struct{}) {
	for m := range from {
		select {
		case to <- m:
		case <-done:
		}
	}
}

func (m message) outgoing(topic string) *sarama.ProducerMessage {
	out := &sarama.ProducerMessage{Topic: topic, Metadata: m.ID, Partition: *m.Partition}
	if m.Timestamp != nil {
		out.Timestamp = time.UnixMilli(*m.Timestamp)
	}
	if m.Key != nil {
		out.Key = sarama.ByteEncoder(m.Key)
	}
	if m.Value != nil {
		out.Value = sarama.ByteEncoder(m.Value)
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(h.name), Value: h.value})
	}
	return out
}

func incoming(m *sarama.ConsumerMessage) message {
	ms := m.Timestamp.UnixMilli()
	in := message{Partition: &m.Partition, Offset: m.Offset, Timestamp: &ms, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		in.Headers = append(in.Headers, header{string(h.Key), h.Value})
	}
	return in
}

func emit(result any) {
	line, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(append(line, '\n'))
}
