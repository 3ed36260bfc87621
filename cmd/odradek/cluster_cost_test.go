package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/control"
)

// tells is an HTTP side that tells metrics.
func tells(t *testing.T, text string) (host string, port int32) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	host, p, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return host, int32(n)
}

const counted = `# TYPE process_start_time_seconds gauge
process_start_time_seconds %d
# TYPE odradek_meter_requests_total counter
odradek_meter_requests_total{kind="create",reason="produce"} 1000
odradek_meter_requests_total{kind="get_range",reason="fetch"} 2000
odradek_meter_requests_total{kind="delete",reason="garbage"} 10
# TYPE odradek_meter_bytes_total counter
odradek_meter_bytes_total{kind="create",reason="produce"} 1073741824
odradek_meter_bytes_total{kind="get_range",reason="fetch"} 1073741824
# TYPE odradek_ingest_record_bytes_total counter
odradek_ingest_record_bytes_total 2147483648
# TYPE odradek_ingest_topic_record_bytes_total counter
odradek_ingest_topic_record_bytes_total{topic="a"} 1610612736
odradek_ingest_topic_record_bytes_total{topic="b"} 536870912
# TYPE odradek_ingest_topic_extent_bytes_total counter
odradek_ingest_topic_extent_bytes_total{topic="a"} 750
odradek_ingest_topic_extent_bytes_total{topic="b"} 250
# TYPE odradek_fetch_topic_bytes_total counter
odradek_fetch_topic_bytes_total{topic="b"} 99
`

func TestClusterCost_AddsUpWhatAgentsCounted(t *testing.T) {
	b := poolBucket(t)
	hourAgo := time.Now().Add(-time.Hour).Unix()
	for node := 4; node <= 5; node++ {
		host, port := tells(t, fmt.Sprintf(counted, hourAgo))
		b.control(control.JournalOpen{
			ID: journalOf(node), NodeID: int32(node), K: 4, Build: "b", Format: control.FormatLevel, Weight: 100,
			Endpoints: []control.Endpoint{{Name: "kafka", Host: "host", Port: 9000}, {Name: "http", Host: host, Port: port}},
		})
	}
	own := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(own, []byte("name: ours\nput: 5\nget: 1\nsent: 0.5\nstorage: 730\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, status := runOn(t, "cluster", "cost", "--bucket", b.url, "--prices", own, "--storage", "--json")
	if status != exitOK {
		t.Fatal(out)
	}
	var v costView
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	// 2 x 1,000 PUTs are $10, 2 x 2,000 GETs are $4, 2 GiB sent are $1.
	if v.Prices != "ours" || v.Agents != 2 || !near(v.Dollars, 15) || !near(v.PerGiB, 15.0/4) || v.Produced != 4<<30 {
		t.Errorf("%+v", v)
	}
	if v.Hours < 1.9 || v.Hours > 2.1 || math.Abs(v.PerHour-15) > 1 {
		t.Errorf("%v agent hours, %v dollars an hour; want 2 and 15", v.Hours, v.PerHour)
	}
	if len(v.Topics) != 2 || v.Topics[0].Topic != "a" || !near(v.Topics[0].Dollars, 11*0.75) || !near(v.Topics[1].Dollars, 11*0.25+4) {
		t.Errorf("topics %+v", v.Topics)
	}
	if len(v.Unreached) != 3 { // poolBucket's agents name no HTTP side
		t.Errorf("not reached: %v", v.Unreached)
	}
	if s := v.Storage; s == nil || s.Objects == 0 || !near(s.PerHour, float64(s.Bytes)/(1<<30)) {
		t.Errorf("storage %+v", v.Storage)
	}

	text, status := runOn(t, "cluster", "cost", "--bucket", b.url, "--prices", own)
	for _, want := range []string{
		"2 agents, 2.0 agent hours, prices ours", "create      produce   2000       2.0 GiB   $11.00    73.3%",
		"a       3.0 GiB    1.5 KiB   0 B       $8.25     55.0%", "$3.75 for each of 4.000 GiB produced", "note: not asked or not reached: node 1",
	} {
		if status != exitOK || !strings.Contains(text, want) {
			t.Errorf("status %d, no %q in:\n%s", status, want, text)
		}
	}
}

func TestClusterCost_OverPricesWhatComesBetween(t *testing.T) {
	b := poolBucket(t)
	host, port := tells(t, fmt.Sprintf(counted, time.Now().Unix()))
	out, status := runOn(t, "cluster", "cost", "--bucket", b.url, "--agent", net.JoinHostPort(host, strconv.Itoa(int(port))), "--over", "10ms",
		"--prices", "aws-standard", "--json")
	var v costView
	if err := json.Unmarshal([]byte(out), &v); err != nil || status != exitOK || v.Dollars != 0 || v.Agents != 1 || len(v.Lines) != 0 {
		t.Errorf("an agent that counted nothing meanwhile: status %d, %v, %s", status, err, out)
	}
}

func TestClusterCost_RefusesWhatItCannotPrice(t *testing.T) {
	b := poolBucket(t)
	for want, args := range map[string][]string{
		"is none of auto, aws-standard, aws-express, free and no file": {"--prices", "aws-standart"},
		"no agent told its metrics":                                    {"--prices", "free"},
	} {
		if out, status := runOn(t, append([]string{"cluster", "cost", "--bucket", b.url}, args...)...); status == exitOK || !strings.Contains(out, want) {
			t.Errorf("%v: status %d, %s", args, status, out)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9*max(1, math.Abs(b)) }
