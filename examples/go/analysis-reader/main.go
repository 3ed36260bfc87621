// Command analysis-reader reads analysis_topic with sarama as a member of the group analysis and keeps, for each page,
// the number of views and their mean time.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/IBM/sarama"
)

// View is one page view, the unit of the analysis.
type View struct {
	Page   string `json:"page"`
	Millis int    `json:"millis"`
}

// pages aggregates the views; sarama reads each partition in a goroutine of its own.
type pages struct {
	mu     sync.Mutex // guards views and millis
	views  map[string]int
	millis map[string]int
}

func (*pages) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*pages) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim reads one partition until it is taken away.
func (p *pages) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		var view View
		if err := json.Unmarshal(message.Value, &view); err != nil {
			return err
		}
		p.add(message, view)
		session.MarkMessage(message, "")
	}
	return nil
}

func (p *pages) add(message *sarama.ConsumerMessage, view View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views[view.Page]++
	p.millis[view.Page] += view.Millis
	views := p.views[view.Page]
	fmt.Printf("read partition=%d offset=%d timestamp=%d key=%s views=%d mean=%.1fms value=%s\n", message.Partition, message.Offset,
		message.Timestamp.UnixMilli(), message.Key, views, float64(p.millis[view.Page])/float64(views), message.Value)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	group, err := sarama.NewConsumerGroup([]string{bootstrap()}, "analysis", config)
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()
	pages := &pages{views: map[string]int{}, millis: map[string]int{}}
	for ctx.Err() == nil { // Consume returns at each rebalance
		if err := group.Consume(ctx, []string{"analysis_topic"}, pages); err != nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) {
			log.Print(err)
		}
	}
}

func bootstrap() string {
	if address := os.Getenv("BOOTSTRAP"); address != "" {
		return address
	}
	return "127.0.0.1:9092"
}
