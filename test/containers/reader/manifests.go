package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	unstructured "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// object is what every manifest is.
type object interface{ GetObjectMeta() meta.Object }

// kinds are those that the chart may render.
var kinds = map[string]func() object{
	"v1/Service":                              func() object { return &core.Service{} },
	"v1/ServiceAccount":                       func() object { return &core.ServiceAccount{} },
	"v1/ConfigMap":                            func() object { return &core.ConfigMap{} },
	"apps/v1/Deployment":                      func() object { return &apps.Deployment{} },
	"autoscaling/v2/HorizontalPodAutoscaler":  func() object { return &autoscaling.HorizontalPodAutoscaler{} },
	"policy/v1/PodDisruptionBudget":           func() object { return &policy.PodDisruptionBudget{} },
	"networking.k8s.io/v1/NetworkPolicy":      func() object { return &networking.NetworkPolicy{} },
	"monitoring.coreos.com/v1/ServiceMonitor": func() object { return &monitoring.ServiceMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule": func() object { return &monitoring.PrometheusRule{} },
}

// readManifests decodes each document into its type, and takes no field that the type does not have, none twice, and no name
// or label that an API server would refuse. Documents that are empty are left out.
func readManifests(from io.Reader) (any, error) {
	list := []object{}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(from))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var kind meta.TypeMeta
		if err := yaml.Unmarshal(text, &kind); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, text)
		}
		if kind.Kind == "" && kind.APIVersion == "" && empty(text) {
			continue
		}
		o, err := decode(kind, text)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w in\n%s", kind.APIVersion, kind.Kind, err, text)
		}
		list = append(list, o)
	}
}

func empty(text []byte) bool {
	var v any
	return yaml.Unmarshal(text, &v) == nil && v == nil
}

func decode(kind meta.TypeMeta, text []byte) (object, error) {
	make, ok := kinds[kind.APIVersion+"/"+kind.Kind]
	if !ok {
		return nil, errors.New("no such kind is known here")
	}
	o := make()
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	// As an API server does it, and not as encoding/json: a name in the wrong case is another name.
	unknown, err := json.UnmarshalStrict(asJSON, o)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, err
	}
	m := o.GetObjectMeta()
	at := field.NewPath("metadata")
	problems := validation.ValidateObjectMetaAccessor(m, false, validation.NameIsDNSSubdomain, at)
	// What is in no namespace yet gets one when it is installed.
	if m.GetNamespace() == "" {
		m.SetNamespace("default")
		problems = validation.ValidateObjectMetaAccessor(m, true, validation.NameIsDNSSubdomain, at)
	}
	problems = append(problems, unstructured.ValidateLabels(m.GetLabels(), at.Child("labels"))...)
	if d, ok := o.(*apps.Deployment); ok {
		problems = append(problems, unstructured.ValidateLabels(d.Spec.Template.Labels, field.NewPath("spec", "template", "metadata", "labels"))...)
	}
	return o, problems.ToAggregate()
}
