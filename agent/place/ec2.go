package place

import (
	"context"
	"net/http"
	"net/netip"
)

const ec2Source = "EC2 instance metadata"

// askEC2 asks the instance metadata by version 2 of its protocol: first a token, then with it everything else. A
// token that does not come ends the asking: in containers the answer may not reach us (hop limit).
func (f *finder) askEC2(ctx context.Context) {
	if f.around.EC2 == "" {
		return
	}
	token, err := ask(ctx, http.MethodPut, f.around.EC2+"/latest/api/token",
		http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		f.problem(ec2Source, err)
		return
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {string(token)}}
	if f.place.Host == "" {
		address, err := ask(ctx, http.MethodGet, f.around.EC2+"/latest/meta-data/local-ipv4", header)
		if err != nil { // an instance with IPv6 only
			address, err = ask(ctx, http.MethodGet, f.around.EC2+"/latest/meta-data/ipv6", header)
		}
		if err == nil {
			_, err = netip.ParseAddr(string(address))
		}
		if err != nil {
			f.problem(ec2Source, err)
		} else {
			f.host(string(address), ec2Source)
		}
	}
	if f.place.ZoneFrom == "" {
		zone, err := ask(ctx, http.MethodGet, f.around.EC2+"/latest/meta-data/placement/availability-zone", header)
		if err != nil {
			f.problem(ec2Source, err)
			return
		}
		f.zone(string(zone), ec2Source)
	}
}
