# Plans and applies of the examples. What is to hold of them is in plans_test.go, which reads the states.

mock_provider "aws" {
  source = "./mocks"

  override_resource {
    target = module.agents.aws_iam_role.agent["broker"]
    values = { arn = "arn:aws:iam::123456789012:role/odradek-broker-eu-central-1" }
  }

  override_resource {
    target = module.agents.aws_iam_role.agent["compactor"]
    values = { arn = "arn:aws:iam::123456789012:role/odradek-compactor-eu-central-1" }
  }
}

variables {
  bucket          = "example-odradek"
  image           = "example.org/odradek:1.0.0"
  admin_role_arns = ["arn:aws:iam::123456789012:role/admin"]
}

run "basic" {
  module {
    source = "../../../terraform/examples/basic"
  }
}

run "existing_vpc" {
  module {
    source = "../../../terraform/examples/existing-vpc"
  }

  variables {
    vpc_id             = "vpc-0123456789abcdef0"
    subnet_ids         = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    client_cidr_blocks = ["10.0.0.0/8"]
    s3_route_table_ids = ["rtb-0123456789abcdef0"]
  }
}

run "own_redis" {
  module {
    source = "../../../terraform/examples/own-redis"
  }

  variables {
    redis_url                 = "rediss://odradek@redis.internal:6379"
    redis_password_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:redis-a1b2c3"
  }
}

run "ec2_ebs" {
  module {
    source = "../../../terraform/examples/ec2-ebs"
  }
}
