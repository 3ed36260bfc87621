package ops

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/agent/settings"
)

func TestBanner_SaysWhatIsServedWhereItIsStoredAndWhatToTry(t *testing.T) {
	var out bytes.Buffer
	err := Banner{
		Version: "1.0.0", Cluster: "odradek", NodeID: 1, Kafka: "127.0.0.1:9092", KafkaFrom: "--listen", HTTP: ":8080",
		Bucket: "file:///srv/odradek-data/bucket", Index: "in memory", WAL: "./odradek-data/wal, 512MiB",
	}.Write(&out)
	if err != nil {
		t.Fatal(err)
	}
	want := `odradek 1.0.0, node 1 of cluster odradek

  kafka    127.0.0.1:9092
  http     http://localhost:8080  (/livez /readyz /metrics)
  bucket   file:///srv/odradek-data/bucket
  index    in memory
  wal      ./odradek-data/wal, 512MiB

Try: echo hello | odradek produce greetings && odradek consume greetings -n 1

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("banner (-want +got):\n%s", diff)
	}
}

func TestBanner_TheLineToTryReachesAnyAddress(t *testing.T) {
	var out bytes.Buffer
	if err := (Banner{Kafka: "10.0.0.7:9092", KafkaFrom: "EC2 instance metadata", Zone: "eu-1a"}).Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"10.0.0.7:9092  (EC2 instance metadata)", "zone     eu-1a", "produce greetings --bootstrap 10.0.0.7:9092 &&",
		"consume greetings --bootstrap 10.0.0.7:9092 -n 1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "http") {
		t.Errorf("an HTTP address that is not served:\n%s", out.String())
	}
}

func TestNewLog_HeedsLevelAndFormat(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out, settings.Log{Level: slog.LevelWarn, Format: "json"}, nil)
	log.Info("journal opened")
	log.Warn("bucket away", "tries", 3)
	if got := out.String(); !strings.HasPrefix(got, "{") || !strings.Contains(got, `"msg":"bucket away","tries":3`) ||
		strings.Contains(got, "journal opened") {
		t.Errorf("got %s", got)
	}
	out.Reset()
	NewLog(&out, settings.Log{Level: slog.LevelInfo, Format: "text"}, nil).Info("journal opened")
	if got := out.String(); !strings.Contains(got, `level=INFO msg="journal opened"`) {
		t.Errorf("got %s", got)
	}
}
