package terraform

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// request is what a policy is asked about.
type request struct {
	action   string // s3:PutObject …
	resource string // ARN
	context  map[string]string
}

// statement is one of a policy, as far as those under terraform/ go. What it does not know fails the test.
type statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    words
	Resource  words
	Condition map[string]map[string]words
}

// words are one text or several.
type words []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// policy is a document of IAM.
type policy struct{ Statement []statement }

func readPolicy(t *testing.T, text string) policy {
	t.Helper()
	var p policy
	decoder := json.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&p); err != nil || len(p.Statement) == 0 {
		t.Fatalf("policy %s: %v", text, err)
	}
	for _, s := range p.Statement {
		for operator, keys := range s.Condition {
			for key := range keys {
				if _, err := holds(operator, "", false, nil); err != nil {
					t.Fatalf("%s: %s of %s: %v", s.Sid, operator, key, err)
				}
			}
		}
	}
	return p
}

// glob tells whether a pattern with * and ? fits.
func glob(pattern, text string) bool {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted)
	return regexp.MustCompile(`^(?s:` + quoted + `)$`).MatchString(text)
}

func anyGlob(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, text) })
}

// holds tells whether a condition holds for a key's value. A key that is not there fulfils the operators that deny.
func holds(operator, value string, there bool, want words) (bool, error) {
	switch operator {
	case "Null":
		return slices.Contains(want, fmt.Sprint(!there)), nil
	case "Bool", "StringEquals":
		return there && slices.Contains(want, value), nil
	case "ArnLike":
		return there && anyGlob(want, value), nil
	case "ArnNotLike":
		return !there || !anyGlob(want, value), nil
	}
	return false, fmt.Errorf("operator %s is not known here", operator)
}

// fits tells whether a statement is about a request.
func (s statement) fits(r request) bool {
	if !slices.ContainsFunc(s.Action, func(a string) bool { return glob(strings.ToLower(a), strings.ToLower(r.action)) }) ||
		!anyGlob(s.Resource, r.resource) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, want := range keys {
			value, there := r.context[key]
			if ok, err := holds(operator, value, there, want); err != nil || !ok {
				return false
			}
		}
	}
	return true
}

// verdict is allow, deny or nothing, and the statements that said so.
func (p policy) verdict(r request) (effect string, by []string) {
	for _, want := range []string{"Deny", "Allow"} {
		for _, s := range p.Statement {
			if s.Effect == want && s.fits(r) {
				by = append(by, s.Sid)
			}
		}
		if len(by) > 0 {
			return want, by
		}
	}
	return "", nil
}

// grant is what a role may do at the bucket: its own policy, and the bucket's over it.
type grant struct {
	role     string // ARN
	policies []policy
}

// allows tells whether a request goes through, and which statements let it.
func (g grant) allows(r request) (bool, []string) {
	r.context["aws:PrincipalArn"] = g.role
	r.context["aws:SecureTransport"] = "true"
	var allowed []string
	for _, p := range g.policies {
		switch effect, by := p.verdict(r); effect {
		case "Deny":
			return false, by
		case "Allow":
			allowed = append(allowed, by...)
		}
	}
	return len(allowed) > 0, allowed
}

// grants reads what the roles of a state may do at its bucket.
func grants(t *testing.T, s state) map[string]grant {
	t.Helper()
	bucket := readPolicy(t, s.one(t, "aws_s3_bucket_policy.this").text(t, "policy"))
	all := make(map[string]grant)
	for _, role := range []string{"broker", "compactor"} {
		own := readPolicy(t, s.one(t, fmt.Sprintf("aws_iam_role_policy.bucket[%q]", role)).text(t, "policy"))
		all[role] = grant{
			role: s.one(t, fmt.Sprintf("aws_iam_role.agent[%q]", role)).text(t, "arn"), policies: []policy{own, bucket},
		}
	}
	return all
}

// What the policies must refuse, whatever else changes.
func bucketRules(t *testing.T, s state) {
	t.Helper()
	const admin = "arn:aws:iam::123456789012:role/admin"
	roles := grants(t, s)
	bucket := roles["broker"].policies[1]
	everything := policy{Statement: []statement{{Sid: "All", Effect: "Allow", Action: words{"*"}, Resource: words{"*"}}}}
	roles["stranger"] = grant{"arn:aws:iam::123456789012:role/app", []policy{everything, bucket}}
	roles["admin"] = grant{admin, []policy{everything, bucket}}
	object := s.one(t, "aws_s3_bucket.this").text(t, "arn") + "/"
	conditional := map[string]string{"s3:if-none-match": "*"}
	for _, test := range []struct {
		who, action, key string
		with             map[string]string
		want             bool
	}{
		{"broker", "s3:PutObject", "control/7", conditional, true},
		{"broker", "s3:PutObject", "control/7", nil, false},
		{"broker", "s3:PutObject", "journal/a7/0123/5", conditional, true},
		{"broker", "s3:PutObject", "journal/a7/0123/5", nil, false},
		{"broker", "s3:PutObject", "compacted/x", conditional, false},
		{"broker", "s3:DeleteObject", "journal/a7/0123/5", nil, false},
		{"broker", "s3:DeleteObject", "probe/x", nil, false},
		{"compactor", "s3:PutObject", "control/7", nil, false},
		{"compactor", "s3:DeleteObject", "journal/a7/0123/5", nil, true},
		{"compactor", "s3:DeleteObject", "control/7", nil, false},
		{"stranger", "s3:PutObject", "control/7", conditional, true},
		{"stranger", "s3:PutObject", "control/7", nil, false},
		{"stranger", "s3:DeleteObject", "compacted/x", nil, false},
		{"stranger", "s3:DeleteObjectVersion", "compacted/x", nil, false},
		{"admin", "s3:PutObject", "journal/a7/0123/5", nil, true},
		{"admin", "s3:DeleteObject", "control/7", nil, true},
	} {
		r := request{test.action, object + test.key, map[string]string{}}
		for name, value := range test.with {
			r.context[name] = value
		}
		if got, by := roles[test.who].allows(r); got != test.want {
			t.Errorf("%s, %s of %s with %v: allowed %t, want %t (%v)", test.who, test.action, test.key, test.with, got, test.want, by)
		}
	}
	plain := request{"s3:GetObject", object + "control/7", map[string]string{"aws:PrincipalArn": admin, "aws:SecureTransport": "false"}}
	if effect, _ := bucket.verdict(plain); effect != "Deny" {
		t.Error("the bucket may be read without TLS")
	}
}
