package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/objectstore"
)

// figureIdle: 100 clients poll, 50 of them as members of groups that commit every second, nobody produces. What the
// agent asks of its bucket in a minute.
func figureIdle([]string) error {
	fmt.Println("idle: 100 clients polling, 50 of them group members with automatic commit every second, one minute")
	a, err := startAgent()
	if err != nil {
		return err
	}
	defer a.stop()
	if err := createTopic(a.addr, "idle", 10); err != nil {
		return err
	}
	if _, err := sendTo(a.addr, "idle", 100); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i := range 100 {
		opts := []kgo.Opt{kgo.SeedBrokers(a.addr), kgo.ConsumeTopics("idle"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
		if i < 50 {
			opts = append(opts, kgo.ConsumerGroup(fmt.Sprintf("group-%d", i%10)), kgo.AutoCommitInterval(time.Second))
		}
		c, err := kgo.NewClient(opts...)
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer c.Close()
			for ctx.Err() == nil {
				c.PollFetches(ctx)
			}
		})
	}
	time.Sleep(30 * time.Second) // groups settle
	before, err := requests(a.http)
	if err != nil {
		return err
	}
	u0, s0 := a.cpu()
	time.Sleep(time.Minute)
	after, err := requests(a.http)
	if err != nil {
		return err
	}
	u1, s1 := a.cpu()
	for _, kind := range objectstore.Kinds {
		fmt.Printf("  %-9s %.0f", kind, after[string(kind)]-before[string(kind)])
	}
	fmt.Printf("  CPU %.2f s, RSS %.0f MiB (to reach: 0 create)\n", u1+s1-u0-s0, a.rss())
	return nil
}

func sendTo(addr, name string, n int) (int, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(name))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for i := range n {
		if err := c.ProduceSync(context.Background(), kgo.StringRecord(strconv.Itoa(i))).FirstErr(); err != nil {
			return i, err
		}
	}
	return n, nil
}

// requests reads how many requests of each kind the agent has sent to its bucket.
func requests(addr string) (map[string]float64, error) {
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64)
	for _, line := range strings.Split(string(b), "\n") {
		rest, ok := strings.CutPrefix(line, `odradek_objectstore_requests_total{kind="`)
		if !ok {
			continue
		}
		kind, _, _ := strings.Cut(rest, `"`)
		n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return nil, err
		}
		out[kind] += n
	}
	return out, nil
}
