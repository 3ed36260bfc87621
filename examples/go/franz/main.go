// Command franz writes a greeting to hello_topic with franz-go and reads it back.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	ctx := context.Background()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap()),
		kgo.AllowAutoTopicCreation(),
		kgo.DefaultProduceTopic("hello_topic"),
		kgo.ConsumeTopics("hello_topic"),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	sent, err := client.ProduceSync(ctx, kgo.StringRecord("hello")).First()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("sent partition=%d offset=%d value=%s\n", sent.Partition, sent.Offset, sent.Value)
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		for record := range fetches.RecordsAll() {
			fmt.Printf("read partition=%d offset=%d value=%s\n", record.Partition, record.Offset, record.Value)
			if record.Partition == sent.Partition && record.Offset == sent.Offset {
				return
			}
		}
	}
}

func bootstrap() string {
	if address := os.Getenv("BOOTSTRAP"); address != "" {
		return address
	}
	return "127.0.0.1:9092"
}
