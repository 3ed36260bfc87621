# All examples in one configuration, so that one run validates them. Nothing is planned from here: the runs of the
# tests beside it name the example, or the module, that they are about.

module "basic" {
  source = "../../../terraform/examples/basic"

  bucket = "example-odradek"
  image  = "example.org/odradek:1.0.0"
}

module "existing_vpc" {
  source = "../../../terraform/examples/existing-vpc"

  bucket             = "example-odradek"
  image              = "example.org/odradek:1.0.0"
  vpc_id             = "vpc-0123456789abcdef0"
  subnet_ids         = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  client_cidr_blocks = ["10.0.0.0/8"]
}

module "own_redis" {
  source = "../../../terraform/examples/own-redis"

  bucket    = "example-odradek"
  image     = "example.org/odradek:1.0.0"
  redis_url = "redis://redis.internal:6379"
}

module "ec2_ebs" {
  source = "../../../terraform/examples/ec2-ebs"

  bucket = "example-odradek"
  image  = "example.org/odradek:1.0.0"
}
