package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/meter"
)

// costView is what the requests of a cluster's agents cost, by what they counted.
type costView struct {
	Prices    string      `json:"prices"`
	Agents    int         `json:"agents"`
	Hours     float64     `json:"agent_hours"` // of all agents together
	Dollars   float64     `json:"dollars"`
	PerHour   float64     `json:"dollars_per_hour"`
	Produced  int64       `json:"produced_bytes"`
	PerGiB    float64     `json:"dollars_per_gib"` // produced; 0 when nothing was
	Lines     []costLine  `json:"lines"`
	Topics    []costTopic `json:"topics"`
	Storage   *costStored `json:"storage,omitempty"` // if it was asked for
	Unreached []string    `json:"unreached,omitempty"`
}

// costLine is a line of the bill.
type costLine struct {
	Kind     string  `json:"kind"`
	Reason   string  `json:"reason"`
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"`
	Dollars  float64 `json:"dollars"`
}

// costTopic is a topic's share: of what writing and keeping costs by the bytes it stored, of what fetches cost by the bytes it sent.
type costTopic struct {
	Topic    string  `json:"topic"`
	Produced int64   `json:"produced_bytes"`
	Stored   int64   `json:"stored_bytes"`
	Fetched  int64   `json:"fetched_bytes"`
	Dollars  float64 `json:"dollars"`
	Share    float64 `json:"share"`
}

// costStored is what lies in the bucket.
type costStored struct {
	Objects int64   `json:"objects"`
	Bytes   int64   `json:"bytes"`
	PerHour float64 `json:"dollars_per_hour"`
}

func clusterCost(p pool) *cobra.Command {
	var asJSON, storage bool
	var prices string
	var agents []string
	var over time.Duration
	cmd := &cobra.Command{
		Use: "cost", Short: "Print what the requests to the bucket cost, by kind, reason and topic",
		Long: "Print what the requests of all agents to the bucket cost, by kind and reason, for each GiB produced, each hour and each topic.\n" +
			"The agents are asked for what they counted since they started (/metrics); with --over, for what they count meanwhile.\n" +
			"Requests that a client repeated and hedges are in it. Transfer between regions, KMS and Redis are not.",
		Args: names(),
	}
	cmd.Flags().StringVar(&prices, "prices", "auto", "`TABLE`: aws-standard, aws-express, free, a YAML file, or auto to tell by the bucket")
	cmd.Flags().StringSliceVar(&agents, "agent", nil, "`HOST:PORT` of an agent's HTTP side (repeatable; default those that the control log names)")
	cmd.Flags().DurationVar(&over, "over", 0, "count for this `DURATION` instead of since the agents' starts")
	cmd.Flags().BoolVar(&storage, "storage", false, "list the bucket, a request for each 1,000 objects, and price what lies there")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if over < 0 {
			return usagef("--over: %v is no duration to count for", over)
		}
		at, err := p.bucket()
		if err != nil {
			return err
		}
		table, err := meter.PricesFor(prices, at)
		if err != nil {
			return usagef("%w", err)
		}
		v, err := p.cost(cmd.Context(), agents, over, table)
		if err != nil {
			return err
		}
		if storage {
			if v.Storage, err = p.stored(cmd.Context(), table); err != nil {
				return err
			}
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), v)
		}
		return printCost(cmd.OutOrStdout(), v)
	}
	return cmd
}

// cost asks the agents and adds up what they say.
func (p pool) cost(ctx context.Context, agents []string, over time.Duration, prices meter.Prices) (*costView, error) {
	v := &costView{Prices: prices.Name}
	if len(agents) == 0 {
		store, text, err := p.open(ctx)
		if err != nil {
			return nil, err
		}
		s, err := state(ctx, store)
		if err != nil {
			return nil, err
		}
		if s.Next() == 0 {
			return nil, fmt.Errorf("%s: %w", text, errNoCluster)
		}
		agents, v.Unreached = httpOf(s)
	}
	first, began := v.scrape(ctx, agents), time.Now()
	if over > 0 {
		select {
		case <-time.After(over):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		v.Unreached = nil
	}
	last := first
	if over > 0 {
		last = v.scrape(ctx, agents)
	}
	if len(last) == 0 {
		return nil, fmt.Errorf("no agent told its metrics: %s; name their HTTP sides with --agent", strings.Join(v.Unreached, ", "))
	}
	sum := newCosts()
	for address, now := range last {
		hours := (float64(time.Now().UnixMilli())/1000 - now.sum("process_start_time_seconds")) / 3600
		if over > 0 {
			before, ok := first[address]
			if !ok {
				continue // it was not there yet
			}
			hours = time.Since(began).Hours()
			sum.add(before, -1)
		}
		sum.add(now, 1)
		v.Agents++
		v.Hours += hours
	}
	sum.view(v, prices)
	if v.Hours > 0 {
		v.PerHour = v.Dollars / v.Hours * float64(v.Agents)
	}
	return v, nil
}

// scrape asks all agents, and notes those that do not answer.
func (v *costView) scrape(ctx context.Context, agents []string) map[string]scraped {
	all := make(map[string]scraped)
	for _, address := range agents {
		s, err := scrapeAgent(ctx, address)
		if err != nil {
			v.Unreached = append(v.Unreached, fmt.Sprintf("%s (%v)", address, oneLine(err)))
			continue
		}
		all[address] = s
	}
	return all
}

// costs adds up what agents counted.
type costs struct {
	requests, bytes           map[meter.Line]float64
	produced, stored, fetched map[string]float64 // by topic
	all                       float64            // bytes produced
}

func newCosts() *costs {
	return &costs{
		requests: make(map[meter.Line]float64), bytes: make(map[meter.Line]float64),
		produced: make(map[string]float64), stored: make(map[string]float64), fetched: make(map[string]float64),
	}
}

func (c *costs) add(s scraped, sign float64) {
	line := func(into map[meter.Line]float64) func(map[string]string, float64) {
		return func(labels map[string]string, value float64) {
			into[meter.Line{Kind: objectstore.Kind(labels["kind"]), Reason: objectstore.Reason(labels["reason"])}] += sign * value
		}
	}
	s.each("odradek_meter_requests_total", line(c.requests))
	s.each("odradek_meter_bytes_total", line(c.bytes))
	of := func(into map[string]float64) func(map[string]string, float64) {
		return func(labels map[string]string, value float64) { into[labels["topic"]] += sign * value }
	}
	s.each("odradek_ingest_topic_record_bytes_total", of(c.produced))
	s.each("odradek_ingest_topic_extent_bytes_total", of(c.stored))
	s.each("odradek_fetch_topic_bytes_total", of(c.fetched))
	c.all += sign * s.sum("odradek_ingest_record_bytes_total")
}

// view prices what was added up.
func (c *costs) view(v *costView, prices meter.Prices) {
	var fetching float64
	for of, n := range c.requests {
		l := costLine{Kind: string(of.Kind), Reason: string(of.Reason), Requests: int64(n), Bytes: int64(c.bytes[of])}
		l.Dollars = prices.Of(of.Kind, l.Requests, l.Bytes)
		v.Dollars += l.Dollars
		if of.Reason == objectstore.ReasonFetch {
			fetching += l.Dollars
		}
		if l.Requests > 0 {
			v.Lines = append(v.Lines, l)
		}
	}
	slices.SortFunc(v.Lines, func(a, b costLine) int {
		return cmp.Or(cmp.Compare(b.Dollars, a.Dollars), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	v.Produced = int64(c.all)
	if c.all > 0 {
		v.PerGiB = v.Dollars / (c.all / (1 << 30))
	}
	c.topics(v, v.Dollars-fetching, fetching)
}

// topics shares what writing and fetching cost among the topics.
func (c *costs) topics(v *costView, writing, fetching float64) {
	var stored, fetched float64
	for _, n := range c.stored {
		stored += n
	}
	for _, n := range c.fetched {
		fetched += n
	}
	for name := range c.stored {
		t := costTopic{Topic: name, Produced: int64(c.produced[name]), Stored: int64(c.stored[name]), Fetched: int64(c.fetched[name])}
		if stored > 0 {
			t.Share = c.stored[name] / stored // where nothing costs anything
			t.Dollars = writing * c.stored[name] / stored
		}
		if fetched > 0 {
			t.Dollars += fetching * c.fetched[name] / fetched
		}
		if v.Dollars > 0 {
			t.Share = t.Dollars / v.Dollars
		}
		v.Topics = append(v.Topics, t)
	}
	slices.SortFunc(v.Topics, func(a, b costTopic) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Topic, b.Topic))
	})
}

// stored lists the bucket.
func (p pool) stored(ctx context.Context, prices meter.Prices) (*costStored, error) {
	store, text, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	s := new(costStored)
	err = store.List(ctx, "", func(o objectstore.Info) error {
		s.Objects++
		s.Bytes += o.Size
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", text, oneLine(err))
	}
	s.PerHour = prices.StoredAnHour(s.Bytes)
	return s, nil
}

func printCost(out io.Writer, v *costView) error {
	fmt.Fprintf(out, "%s, %.1f agent hours, prices %s\n\n", count(int64(v.Agents), "agent"), v.Hours, v.Prices)
	err := table(out, "KIND\tREASON\tREQUESTS\tBYTES\tDOLLARS\tSHARE", func(row func(...any)) {
		for _, l := range v.Lines {
			row(l.Kind, l.Reason, l.Requests, size(l.Bytes), dollars(l.Dollars), share(l.Dollars, v.Dollars))
		}
	})
	fmt.Fprintln(out)
	err = errors.Join(err, table(out, "TOPIC\tPRODUCED\tSTORED\tFETCHED\tDOLLARS\tSHARE", func(row func(...any)) {
		for _, t := range v.Topics {
			row(t.Topic, size(t.Produced), size(t.Stored), size(t.Fetched), dollars(t.Dollars), share(t.Share, 1))
		}
	}))
	perGiB := "too little was produced to say for each GiB"
	if v.Produced > 1<<20 {
		perGiB = fmt.Sprintf("%s for each of %.3f GiB produced", dollars(v.PerGiB), float64(v.Produced)/(1<<30))
	}
	fmt.Fprintf(out, "\nrequests: %s, %s an hour, %s\n", dollars(v.Dollars), dollars(v.PerHour), perGiB)
	if s := v.Storage; s != nil {
		fmt.Fprintf(out, "storage: %s of %s, %s an hour\n", count(s.Objects, "object"), size(s.Bytes), dollars(s.PerHour))
	}
	for _, u := range v.Unreached {
		fmt.Fprintln(out, "note: not asked or not reached: "+u)
	}
	return err
}

// dollars words an amount with two digits that say something.
func dollars(d float64) string {
	switch {
	case d == 0:
		return "$0"
	case d < 0.01:
		return fmt.Sprintf("$%.2g", d)
	case d < 1:
		return fmt.Sprintf("$%.4f", d)
	}
	return fmt.Sprintf("$%.2f", d)
}

// share words a part of a whole.
func share(part, whole float64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*part/whole)
}
