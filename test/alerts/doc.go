// Package alerts runs real agents into each condition that examples/monitoring/alerts.yml has an alert for, lets a real Prometheus
// scrape them and judge by those very rules, and waits until each alert fires. A rule without a condition here fails the test; so
// does one that fires for an agent that is well.
//
// Time is short: in the copy of the rules that Prometheus is given every range and every `for` is a fortieth of what it is in the
// file, and agents are scraped once a second. Nothing else is changed: thresholds are those of the file.
//
// It stands on no floor: it sees everything and is seen by none. Goroutines are of loads that end with the test.
package alerts
