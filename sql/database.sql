CREATE DATABASE IF NOT EXISTS ${catalog}.${database};
