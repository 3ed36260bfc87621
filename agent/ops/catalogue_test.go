package ops

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestCatalogue_ListsWhatIsRegistered(t *testing.T) {
	var c Catalogue
	c.MustRegister(
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "b_seconds", Help: "Time of a \"b\"."}, []string{"key", "api"}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "a_bytes", Help: "Bytes | of a."}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "c_total", Help: "Times of c.", ConstLabels: prometheus.Labels{"kind": "x"},
		}, func() float64 { return 1 }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "c_total", Help: "Times of c.", ConstLabels: prometheus.Labels{"kind": "y"},
		}, func() float64 { return 1 }),
	)
	var out bytes.Buffer
	if err := c.WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(out.String(), "| --- | --- | --- | --- |\n")
	want := "| `a_bytes` | gauge |  | Bytes \\| of a. |\n" +
		"| `b_seconds` | histogram | `api`, `key` | Time of a \"b\". |\n" +
		"| `c_total` | counter | `kind` | Times of c. |\n"
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
