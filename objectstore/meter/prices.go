package meter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/odradek/odradek/objectstore"
)

const (
	gib           = 1 << 30
	maxPricesFile = 64 << 10
	// HoursPerMonth is what a month of storage is divided by, as AWS does it.
	HoursPerMonth = 730
)

// Prices is what a bucket costs, in dollars. All are 0 where requests cost nothing of their own.
type Prices struct {
	Name     string  `yaml:"name"`
	Put      float64 `yaml:"put"`      // per 1,000 of create, list, upload, upload_part, upload_complete
	Get      float64 `yaml:"get"`      // per 1,000 of get, get_range, head
	Delete   float64 `yaml:"delete"`   // per 1,000 of delete, upload_abort
	Sent     float64 `yaml:"sent"`     // per GiB of objects sent
	Received float64 `yaml:"received"` // per GiB of objects received
	Storage  float64 `yaml:"storage"`  // per GiB and month
}

// The tables that are built in: list prices of us-east-1, for people to compare with their bill.
var (
	AWSStandard = Prices{Name: "aws-standard", Put: 0.005, Get: 0.0004, Storage: 0.023}
	AWSExpress  = Prices{Name: "aws-express", Put: 0.00113, Get: 0.00003, Sent: 0.0032, Received: 0.0006, Storage: 0.11}
	Free        = Prices{Name: "free"}
)

var tables = []Prices{AWSStandard, AWSExpress, Free}

// PricesFor gives the table that a setting names: `auto` by the bucket's URL, the name of one that is built in, or a file.
func PricesFor(setting, bucket string) (Prices, error) {
	if setting == "auto" || setting == "" {
		return PricesOf(bucket), nil
	}
	if i := slices.IndexFunc(tables, func(p Prices) bool { return p.Name == setting }); i >= 0 {
		return tables[i], nil
	}
	f, err := os.Open(setting)
	if err != nil {
		return Prices{}, fmt.Errorf("prices: %s is none of auto, aws-standard, aws-express, free and no file: %w", setting, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPricesFile))
	if err != nil {
		return Prices{}, fmt.Errorf("prices: %w", err)
	}
	p, err := ParsePrices(data)
	if err != nil {
		return Prices{}, fmt.Errorf("prices %s: %w", setting, err)
	}
	return p, nil
}

// PricesOf guesses the table by the bucket's URL: Amazon's for s3:// without an endpoint, Express by the ending that names of
// directory buckets have, and Free for what one runs oneself.
func PricesOf(bucket string) Prices {
	u, err := url.Parse(bucket)
	switch {
	case err != nil || u.Scheme != "s3" || u.Query().Get("endpoint") != "":
		return Free
	case strings.HasSuffix(u.Host, "--x-s3"):
		return AWSExpress
	}
	return AWSStandard
}

// ParsePrices reads a table from YAML. What it does not name costs nothing; a key that is none is an error.
func ParsePrices(data []byte) (Prices, error) {
	p := Prices{Name: "own"}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return Prices{}, err
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"put", p.Put}, {"get", p.Get}, {"delete", p.Delete}, {"sent", p.Sent}, {"received", p.Received}, {"storage", p.Storage}} {
		if !(v.value >= 0 && v.value < 1e6) { // not a number is neither
			return Prices{}, fmt.Errorf("%s: %v is no price", v.name, v.value)
		}
	}
	return p, nil
}

// Of is the price of requests of a kind that carried so many bytes together.
func (p Prices) Of(kind objectstore.Kind, requests, bytes int64) float64 {
	perThousand, perGiB := p.Get, 0.0
	switch kind {
	case objectstore.KindCreate, objectstore.KindPart:
		perThousand, perGiB = p.Put, p.Sent
	case objectstore.KindList, objectstore.KindUpload, objectstore.KindComplete:
		perThousand = p.Put
	case objectstore.KindDelete, objectstore.KindAbort:
		perThousand = p.Delete
	case objectstore.KindGet, objectstore.KindGetRange:
		perGiB = p.Received
	}
	return float64(requests)*perThousand/1000 + float64(bytes)*perGiB/gib
}

// StoredAnHour is the price of keeping so many bytes for an hour.
func (p Prices) StoredAnHour(bytes int64) float64 {
	return float64(bytes) / gib * p.Storage / HoursPerMonth
}
