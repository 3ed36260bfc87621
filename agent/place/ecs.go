package place

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

const ecsSource = "ECS task metadata"

// ecsContainer is what ${ECS_CONTAINER_METADATA_URI_V4} answers, as far as it matters here.
type ecsContainer struct {
	Networks []struct {
		NetworkMode   string   `json:"NetworkMode"`
		IPv4Addresses []string `json:"IPv4Addresses"`
		IPv6Addresses []string `json:"IPv6Addresses"`
	} `json:"Networks"`
}

// ecsTask is what ${ECS_CONTAINER_METADATA_URI_V4}/task answers.
type ecsTask struct {
	AvailabilityZone string `json:"AvailabilityZone"`
}

// askECS asks the task metadata. Only with awsvpc networking is the container's address one that others reach; in
// the modes bridge and host the instance is asked for its own.
func (f *finder) askECS(ctx context.Context) {
	if f.around.ECS == "" {
		return
	}
	if f.place.Host == "" {
		var container ecsContainer
		if err := getJSON(ctx, f.around.ECS, &container); err != nil {
			f.problem(ecsSource, err)
		}
		for _, n := range container.Networks {
			if n.NetworkMode != "awsvpc" {
				continue
			}
			for _, address := range append(n.IPv4Addresses, n.IPv6Addresses...) {
				f.host(address, ecsSource)
			}
		}
	}
	if f.place.ZoneFrom == "" {
		var task ecsTask
		err := getJSON(ctx, f.around.ECS+"/task", &task)
		if err == nil && task.AvailabilityZone == "" {
			err = errors.New("names no availability zone")
		}
		if err != nil {
			f.problem(ecsSource, err)
			return
		}
		f.zone(task.AvailabilityZone, ecsSource)
	}
}

func getJSON(ctx context.Context, url string, into any) error {
	body, err := ask(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
