package chaos

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Report is the answer to GET /chaos/.
type Report struct {
	Passed map[string]int // passes, by point
	Armed  map[string]int // passes that are left, by point
	Faults map[string]int // done, by kind
	Disk   DiskFault      // of the moment
	Clock  string         // its shift
	Shifts bool           // whether the clock can be shifted
}

// Handler takes orders:
//
//	GET  /chaos/                             a Report
//	POST /chaos/crash?at=POINT&pass=N        end at the N-th pass of a point
//	POST /chaos/hold?at=POINT&for=20s        wait at the next pass of a point
//	POST /chaos/disarm                       end and wait nowhere
//	POST /chaos/clock?by=1h                  shift the wall clock
//	POST /chaos/disk?fault=NAME&by=200ms     make the disk of the WAL fail; without a fault: mend it
func (i *Injector) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /chaos/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(i.report())
	})
	order := func(path string, do func(r *http.Request) error) {
		mux.HandleFunc("POST /chaos/"+path, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	order("crash", func(r *http.Request) error {
		n := 1
		if s := r.FormValue("pass"); s != "" {
			var err error
			if n, err = strconv.Atoi(s); err != nil {
				return err
			}
		}
		return i.Arm(r.FormValue("at"), n)
	})
	order("hold", func(r *http.Request) error {
		d, err := time.ParseDuration(r.FormValue("for"))
		if err != nil {
			return err
		}
		return i.Hold(r.FormValue("at"), d)
	})
	order("disarm", func(*http.Request) error { i.Disarm(); return nil })
	order("clock", func(r *http.Request) error {
		by, err := time.ParseDuration(r.FormValue("by"))
		if err != nil {
			return err
		}
		return i.ShiftClock(by)
	})
	order("disk", func(r *http.Request) error {
		fault := DiskFault(r.FormValue("fault"))
		if fault == "" {
			i.MendDisk()
			return nil
		}
		by := time.Duration(0)
		if s := r.FormValue("by"); s != "" {
			var err error
			if by, err = time.ParseDuration(s); err != nil {
				return err
			}
		}
		return i.FailDisk(fault, by)
	})
	return mux
}

func (i *Injector) report() Report {
	i.mu.Lock()
	defer i.mu.Unlock()
	return Report{
		Passed: maps.Clone(i.passed), Armed: maps.Clone(i.armed), Faults: maps.Clone(i.done), Disk: i.disk,
		Clock: (time.Duration(wallShift.Load()) * time.Second).String(), Shifts: i.shifts,
	}
}
