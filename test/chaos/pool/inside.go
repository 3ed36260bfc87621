package pool

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/odradek/odradek/agent/chaos"
)

// orderTime is until an agent has taken an order.
const orderTime = 3 * time.Second

// inside is the client that orders are sent by.
var inside = http.Client{Timeout: orderTime, Transport: &http.Transport{DisableKeepAlives: true}}

// Arm has the process end at the n-th pass of a point.
func (a *Agent) Arm(point string, n int) error {
	return a.order("crash?at=" + url.QueryEscape(point) + "&pass=" + fmt.Sprint(n))
}

// Hold has whoever passes a point next wait there for a while.
func (a *Agent) Hold(point string, d time.Duration) error {
	return a.order("hold?at=" + url.QueryEscape(point) + "&for=" + url.QueryEscape(d.String()))
}

// Disarm takes both back.
func (a *Agent) Disarm() error { return a.order("disarm") }

// ShiftClock makes the agent's wall clock wrong; zero makes it right again.
func (a *Agent) ShiftClock(by time.Duration) error {
	return a.order("clock?by=" + url.QueryEscape(by.String()))
}

// FailDisk makes the disk of the agent's WAL fail; an empty fault mends it.
func (a *Agent) FailDisk(fault chaos.DiskFault, by time.Duration) error {
	return a.order("disk?fault=" + url.QueryEscape(string(fault)) + "&by=" + url.QueryEscape(by.String()))
}

func (a *Agent) order(path string) error {
	answer, err := inside.Post("http://"+a.HTTP+"/chaos/"+path, "", nil)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		return fmt.Errorf("%s: %s: %s: %s", a.Name, path, answer.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// Report is what was injected into the agent's process of the moment.
func (a *Agent) Report() (chaos.Report, error) {
	var r chaos.Report
	answer, err := inside.Get("http://" + a.HTTP + "/chaos/")
	if err != nil {
		return r, fmt.Errorf("%s: %w", a.Name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return r, fmt.Errorf("%s is no agent that can be broken from inside: %s", a.Name, answer.Status)
	}
	return r, json.NewDecoder(answer.Body).Decode(&r)
}

// LaunchArmed is Launch of a process that ends at a point's first pass.
func (a *Agent) LaunchArmed(point string) {
	a.mu.Lock()
	a.process.OnceWith("CHAOS_CRASH=" + point)
	a.mu.Unlock()
	a.Launch()
}

// CrashedAt counts how often a process of the agent said that it ended at a point.
func (a *Agent) CrashedAt(point string) int {
	return a.Count(fmt.Sprintf("msg=chaos kind=crash what=%q", point))
}

// AtPoint reports whether the agent's newest process said that it ends at a point: no other one has begun since.
func (a *Agent) AtPoint() bool {
	tail := a.Tail()
	at := strings.LastIndex(tail, "msg=chaos kind=crash")
	return at >= 0 && !strings.Contains(tail[at:], "this binary is built to break")
}

// HeldAt counts how often one of them said that somebody was held at a point.
func (a *Agent) HeldAt(point string) int {
	return a.Count(fmt.Sprintf("msg=chaos kind=hold what=%q", point))
}
