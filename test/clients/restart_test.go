package clients

import (
	"encoding/json"
	"testing"
)

// An agent that is killed and started again takes its clients with it: idempotent producers of each library go on
// where they were, and every acked record is there once.
func TestRestart_ProducersGoOn(t *testing.T) {
	for _, writer := range []groupLibrary{
		{java, settings("enable.idempotence", "true", "acks", "all", "linger.ms", "5", "batch.size", "500", "reconnect.backoff.max.ms", "200")},
		{confluent, settings("enable.idempotence", true, "linger.ms", 5, "batch.num.messages", 5, "reconnect.backoff.max.ms", 200)},
		{kafkaPython, settings("enable_idempotence", true, "linger_ms", 5, "batch_size", 500, "reconnect_backoff_max_ms", 200)},
	} {
		t.Run(writer.name, func(t *testing.T) {
			t.Parallel()
			agent := startAgent(t, "--flush-interval", "100ms")
			createTopic(t, agent.Addr, "going-on", 2, nil)
			probe := writer.start(t)
			records := messages(400, 2)
			probe.Send(Job{Op: "produce", Bootstrap: agent.Addr, Topic: "going-on", Config: writer.config, Records: records})
			var acked []Record
			kills := 0
			for {
				text, more, err := probe.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !more {
					break
				}
				var ack struct {
					Record
					Error string
				}
				if err := json.Unmarshal(text, &ack); err != nil || ack.Error != "" {
					t.Fatalf("%s", text)
				}
				r := records[ack.ID]
				r.Partition, r.Offset, r.Timestamp = ack.Partition, ack.Offset, ack.Timestamp
				acked = append(acked, r)
				if kills < 2 && len(acked) >= 40*(kills+1) {
					agent.Kill()
					agent.Restart()
					kills++
				}
			}
			if kills != 2 || len(acked) != len(records) {
				t.Fatalf("%d kills, %d of %d acks", kills, len(acked), len(records))
			}
			read, _ := readAll(t, agent.Addr, "going-on")
			compare(t, acked, read)
		})
	}
}

// Members of each library find their group again after the agent was killed: nothing that is committed is read again,
// nothing is left out.
func TestRestart_GroupsGoOn(t *testing.T) {
	for _, member := range []groupLibrary{javaMember, confluentMember, kafkaPythonMember, kafkaJSMember} {
		t.Run(member.name, func(t *testing.T) {
			t.Parallel()
			agent := startAgent(t)
			createTopic(t, agent.Addr, "work", 6, nil)
			b := newBook("work", "workers")
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(b)
				}
			})
			load := startLoad(t, agent.Addr, b)
			one, two := member.join(t, agent.Addr, b), member.join(t, agent.Addr, b)
			waitFor(t, agent, "both members to commit", func() bool { return b.count(one) > 0 && b.count(two) > 0 })
			load.pause()
			waitFor(t, agent, "all records to be committed", b.complete)
			agent.Kill()
			agent.Restart()
			load.resume()
			before := b.total()
			waitFor(t, agent, "the members to go on", func() bool { return b.total() > before+200 })
			load.stop()
			waitFor(t, agent, "all records to be committed", b.complete)
			if err := b.check(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
