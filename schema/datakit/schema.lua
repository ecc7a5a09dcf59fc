local a={0,65535}
local b={0,2147483646}
local c={type="string"}
local d={"grpc","grpcs","http","https"}
return{name="datakit",fields={
{protocols={type="set",required=true,default=d,elements={type="string",one_of=d}}},
{config={type="record",required=true,fields={
{nodes={type="json",required=true,json_schema={inline={items={additionalProperties=false,properties={accept_status={type={"array","null"}},algorithm={pattern="^(HS256|HS384|HS512|RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA)$",type={"string","null"}},allowed_algorithms={type={"array","null"}},allowed_hosts={type={"array","null"}},attributes_block_name={maxLength=32,type={"string","null"}},attributes_name_prefix={maxLength=32,type={"string","null"}},audiences={type={"array","null"}},bypass_on_error={type={"boolean","null"}},content_type={pattern="^(application/json|application/octet-stream|text/plain)$",type={"string","null"}},denied_hosts={type={"array","null"}},["else"]={type={"array","null"}},expires_in={maximum=3162240000,minimum=-3162240000,type={"number","null"}},input={maxLength=255,type={"string","null"}},inputs={type={"object","null"}},issuers={type={"array","null"}},jq={maxLength=10240,type={"string","null"}},kid={maxLength=1024,type={"string","null"}},leeway={maximum=2147483646,minimum=0,type={"number","null"}},max_response_bytes={maximum=268435456,minimum=1,type={"number","null"}},method={pattern="^[A-Z]{1,32}$",type={"string","null"}},name={pattern="^[A-Za-z_][A-Za-z0-9_-]{0,254}$",type="string"},non_nil={type={"boolean","null"}},not_before={maximum=3162240000,minimum=-3162240000,type={"number","null"}},on_error={pattern="^(fail|continue)$",type={"string","null"}},output={maxLength=255,type={"string","null"}},outputs={type={"object","null"}},property={maxLength=255,type={"string","null"}},recognize_type={type={"boolean","null"}},required_claims={type={"array","null"}},retries={type={"object","null"}},root_element_name={maxLength=64,type={"string","null"}},ssl_server_name={maxLength=255,type={"string","null"}},ssl_verify={type={"boolean","null"}},stale_ms={maximum=2147483646,minimum=1,type={"number","null"}},static_claims={type={"object","null"}},status={maximum=599,minimum=200,type={"number","null"}},text_as_property={type={"boolean","null"}},text_block_name={maxLength=32,type={"string","null"}},["then"]={type={"array","null"}},timeout={maximum=2147483646,minimum=0,type={"number","null"}},ttl={maximum=3162240000,minimum=1,type={"number","null"}},typ={maxLength=255,type={"string","null"}},type={enum={"branch","cache","call","exit","jq","json_to_xml","jwt_decode","jwt_sign","jwt_verify","property","static","xml_to_json"}},url={maxLength=4096,type={"string","null"}},validate_exp={type={"boolean","null"}},validate_nbf={type={"boolean","null"}},values={type={"object","null"}},wait_ms={maximum=55000,minimum=1,type={"number","null"}},warn_headers_sent={type={"boolean","null"}},xpath={maxLength=256,type={"string","null"}}},required={"name","type"},type="object"},maxItems=64,minItems=1,type="array"}}}},
{debug={type="boolean",default=false}},
{resources={type="record",required=false,fields={
{cache={type="record",required=false,fields={
{strategy={type="string",required=true,one_of={"memory","redis"}}},
{memory={type="record",required=true,fields={
{dictionary_name={type="string",required=true,default="kong_db_cache"}}}}},
{redis={type="record",required=true,fields={
{host={type="string",default="127.0.0.1",referenceable=true}},
{port={type="integer",default=6379,between=a,referenceable=true}},
{connect_timeout={type="integer",default=2000,between=b}},
{send_timeout={type="integer",default=2000,between=b}},
{read_timeout={type="integer",default=2000,between=b}},
{username={type="string",referenceable=true}},
{password={type="string",referenceable=true,encrypted=true}},
{database={type="integer",default=0}},
{ssl={type="boolean",default=false}},
{ssl_verify={type="boolean",default=true}},
{server_name={type="string"}},
{keepalive_pool_size={type="integer",default=256,between={1,2147483646}}},
{keepalive_backlog={type="integer",between=b}},
{sentinel_master={type="string"}},
{sentinel_role={type="string",one_of={"any","master","slave"}}},
{sentinel_nodes={type="array",elements={type="record",fields={
{host={type="string",required=true,default="127.0.0.1"}},
{port={type="integer",default=6379,between=a}}}}}},
{sentinel_username={type="string"}},
{sentinel_password={type="string",referenceable=true,encrypted=true}},
{cluster_nodes={type="array",elements={type="record",fields={
{ip={type="string",required=true,default="127.0.0.1"}},
{port={type="integer",default=6379,between=a}}}}}},
{cluster_max_redirections={type="integer",default=5}},
{connection_is_proxied={type="boolean",default=false}},
{cloud_authentication={type="record",required=false,fields={
{auth_provider={type="string",match="^$",err="this plugin fetches no tokens of AWS, Azure or Google for Redis; remove cloud_authentication, and give username and password of a user of the cache, for instance by a vault reference"}}}}},
{timeout={type="integer"}},
{sentinel_addresses={type="array",elements=c}},
{cluster_addresses={type="array",elements=c}}}}}}}},
{vault={type="map",len_min=1,len_max=64,keys={type="string",len_max=255,match="^[%a_][%w_%-]*$"},values={type="string",len_min=0,len_max=4095,referenceable=true,encrypted=true}}}}}},
{timeout_ms={type="integer",default=25000,between={1,55000}}},
{max_parallel={type="integer",default=16,between={1,64}}},
{max_body_bytes={type="integer",default=8388608,between={1,268435456}}},
{header_case={type="string",default="canonical",one_of={"canonical","lower"}}}}}}}}
