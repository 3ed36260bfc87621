package api

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asKafkaSpells are the names of requests that kmsg spells otherwise.
var asKafkaSpells = map[string]string{
	"InitProducerID": "InitProducerId", "AlterPartitionAssignments": "AlterPartitionReassignments",
}

func TestProtocolDoc_ListsWhatIsAdvertised(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[int]string{}
	row := regexp.MustCompile(`(?m)^\| (\d+) +\| (\w+) +\| ([\d-]+) +\|`)
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		key, _ := strconv.Atoi(m[1])
		documented[key] = m[2] + " " + m[3]
	}
	advertised := map[int]string{}
	for _, e := range sortedEndpoints() {
		versions := fmt.Sprintf("%d-%d", e.min, e.max)
		if e.min == e.max {
			versions = strconv.Itoa(int(e.min))
		}
		name := kmsg.NameForKey(e.key)
		if kafka, ok := asKafkaSpells[name]; ok {
			name = kafka
		}
		advertised[int(e.key)] = name + " " + versions
	}
	if diff := cmp.Diff(advertised, documented); diff != "" {
		t.Errorf("docs/protocol.md differs from the code (- code, + docs):\n%s", diff)
	}
}
