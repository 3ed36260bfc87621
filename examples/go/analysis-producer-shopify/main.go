// Command analysis-producer-shopify is analysis-producer with the last release of sarama under its old path: it feeds page views into analysis_topic with sarama's AsyncProducer and prints where each
// one went. The argument says how many; 10 if not given.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/Shopify/sarama"
)

// View is one page view, the unit of the analysis.
type View struct {
	Page   string `json:"page"`
	Millis int    `json:"millis"`
}

func main() {
	count := 10
	if len(os.Args) > 1 {
		n, err := strconv.Atoi(os.Args[1])
		if err != nil {
			log.Fatal(err)
		}
		count = n
	}
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	producer, err := sarama.NewAsyncProducer([]string{bootstrap()}, config)
	if err != nil {
		log.Fatal(err)
	}

	go func() {
		for i := range count {
			producer.Input() <- message(View{Page: fmt.Sprintf("/page/%d", i%3), Millis: 10 + i})
		}
		producer.AsyncClose() // closes Successes and Errors when all are answered
	}()
	for errors, successes := producer.Errors(), producer.Successes(); errors != nil || successes != nil; {
		select {
		case sent, open := <-successes:
			if !open {
				successes = nil
				continue
			}
			fmt.Printf("sent partition=%d offset=%d key=%s value=%s\n", sent.Partition, sent.Offset, sent.Key, sent.Value)
		case failed, open := <-errors:
			if !open {
				errors = nil
				continue
			}
			log.Print(failed)
		}
	}
}

func message(view View) *sarama.ProducerMessage {
	value, err := json.Marshal(view)
	if err != nil {
		log.Fatal(err)
	}
	return &sarama.ProducerMessage{
		Topic: "analysis_topic",
		Key:   sarama.StringEncoder(view.Page),
		Value: sarama.ByteEncoder(value),
	}
}

func bootstrap() string {
	if address := os.Getenv("BOOTSTRAP"); address != "" {
		return address
	}
	return "127.0.0.1:9092"
}
